"""Planners that decide taps and capacitor states over the horizon besides the set-points of the devices."""
