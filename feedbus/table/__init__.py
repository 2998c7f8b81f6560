"""The live table of `feedbus monitor`: what the newest events of the bus say of every instrument and connection.

Everything here is pure, with events and time as arguments and text as the result, but for monitor.py, which draws the
table on a screen, and terminal.py, which reads keys.
"""
