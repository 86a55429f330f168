"""From the engine to plain values: the twin's data, and settings of regulators and capacitors."""
