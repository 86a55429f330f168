"""Reading an OpenDSS master before the engine does: what it asks for, and what of that is done."""
