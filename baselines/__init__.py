"""Generative baselines and their training loop. This room is furnished by a later release."""
