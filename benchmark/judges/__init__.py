"""Judges: networks that look at footage for the metrics. What they see is kept by content digest."""
