"""A user agent: the other end of the wire, for tests, tools and Python users."""
