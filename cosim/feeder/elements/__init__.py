"""How each kind of device is written to and read from OpenDSS: one file is one kind."""
