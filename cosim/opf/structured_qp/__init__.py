"""One convex quadratic program over devices with energy and sources, and the routes that solve it."""
