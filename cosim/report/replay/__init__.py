"""A plan beside what became of it, as a page."""
