"""The simulated Moscow Exchange."""
