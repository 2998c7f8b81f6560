"""One process of a configuration: its parts, and the tree that supervises them."""
