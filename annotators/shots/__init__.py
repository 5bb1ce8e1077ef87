"""Shot detectors, and the cutting of a source into shots."""
