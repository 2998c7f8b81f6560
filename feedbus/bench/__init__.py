"""`feedbus bench`: what an event costs, measured across processes, by turns with what an expert would write by hand."""
