"""What a terminal shows of the bus: the live table and `tail`."""
