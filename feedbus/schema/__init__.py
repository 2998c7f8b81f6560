"""What travels on the bus: events, their topics, their bytes and their sequence numbers. Pure."""
