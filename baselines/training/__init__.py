"""Training of the baselines: data, the two stages, and what is written of them."""
