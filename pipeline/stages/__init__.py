"""The steps: each module holds one stage's worker, built once in a Ray actor and called per item."""
