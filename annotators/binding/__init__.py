"""Which voice belongs to which face, and what that says about who speaks on each frame."""
