"""How right the labels are: annotated shards measured against exact or hand-made truth."""
