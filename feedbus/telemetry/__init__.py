"""What an operator sees from outside: metrics and health over HTTP, log lines, and what systemd is told.

Telemetry reads the figures of the other parts; the bus, the transports and the venues do not import it.
"""
