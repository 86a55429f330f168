"""Devices in a plan, one file per kind."""
