"""Active speaker detection: which of the visible faces speaks, frame by frame."""
