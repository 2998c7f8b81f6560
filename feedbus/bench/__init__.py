"""`feedbus bench`: what an event costs in CPU time, latency and memory.

Venue, connector and subscriber run in processes of their own, as in production. feedbus and programs that an expert
would write by hand are measured in alternating turns, so that both meet the same disturbances of the machine.
"""
