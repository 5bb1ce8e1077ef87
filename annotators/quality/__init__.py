"""What a curator wants to know of a clip: measured, not judged."""
