"""What an operator sees from outside: metrics over HTTP, log lines, systemd. It reads the parts; no part imports it."""
