"""Questions asked of many plans at once: is it optimal, does it survive, how does it grow."""
