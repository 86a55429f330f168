"""Planners on a network that is affine in the device powers."""
