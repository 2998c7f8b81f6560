"""Whether a price may be used: what each instrument's status is made of, and how a reader of the bus keeps it. Pure."""
