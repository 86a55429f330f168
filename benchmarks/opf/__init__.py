"""Multi-period optimal power flow on unbalanced feeders: planners side by side, judged by OpenDSS."""
