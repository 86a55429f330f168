"""One convex quadratic program over batteries and PV systems, and the routes that solve it."""
