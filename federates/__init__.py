"""The closed loop over HELICS: the only place that knows it; no maths, no policy."""
