"""Many closed loops from one file: axes, seeds, a pool of processes, one table."""
