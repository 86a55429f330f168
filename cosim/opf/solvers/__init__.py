"""One way to a solver per file; all solve the same :class:`cosim.opf.program.Program`."""
