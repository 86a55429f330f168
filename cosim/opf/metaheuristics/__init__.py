"""Planners that search by populations of candidates on exact flows."""
