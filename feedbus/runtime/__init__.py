"""What actors run on: the supervisor and mailboxes. trio alone; knows nothing of markets, venues or the bus."""
