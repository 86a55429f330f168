"""Groups of commands, one file each; :mod:`cosim.cli` joins them."""
