"""The optimality-gap study as tables, figures and a page."""
