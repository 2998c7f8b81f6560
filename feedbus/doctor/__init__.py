"""What `feedbus doctor` looks at before a set-up is trusted, and how it says what it found.

Findings, remedies and texts are pure. The checks of the machine, of the network and of the venues are shells around
the parts that a service is made of, so that what holds here holds for `feedbus run`.
"""
