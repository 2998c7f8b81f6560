"""The simulated broker ALOR, on the simulated Moscow Exchange's market."""
