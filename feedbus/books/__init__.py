"""Order books: what they are made of, what can be asked of one, and how a reader of the bus keeps them. Pure."""
