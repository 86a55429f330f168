"""Balanced feeders: read from tables, grown from a seed or derived from three phases; their power flow."""
