"""Policies: how decisions are made from plans, measurements and forecasts."""
