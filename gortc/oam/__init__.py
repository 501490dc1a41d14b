"""Operation and maintenance: what the server says of itself."""
