"""The tangent planner: a sequence of small quadratic programs on exact flows and exact slopes."""
