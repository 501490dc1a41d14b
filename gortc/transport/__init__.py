"""Channels to peers, and the WebSocket connections that carry them."""
