"""One feed: its connections, its account, its list of symbols, and what it asks over HTTP."""
