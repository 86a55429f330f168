"""Kinds of controllable devices: one file is one kind."""
