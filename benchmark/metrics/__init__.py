"""Metrics, one file a definition: pure functions on arrays first, then the class with the card."""
