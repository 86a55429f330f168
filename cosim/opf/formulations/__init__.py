"""Network equations of a plan, one file per formulation."""
