"""What a run cost, what it did to the feeder, and whether the plans came true: figures and a page."""
