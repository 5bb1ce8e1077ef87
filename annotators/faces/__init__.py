"""Faces: detection in a frame, and tracking inside a shot."""
