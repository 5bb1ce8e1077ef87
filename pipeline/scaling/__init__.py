"""How annotate grows: what its stages cost here, and what a cluster would make of that."""
