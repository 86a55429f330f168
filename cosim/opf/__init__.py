"""How a plan is found: cvxpy and solvers, and nothing else knows them."""
