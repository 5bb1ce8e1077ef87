"""Degenerate controls that every metric is held against; generative baselines come in a later release."""
