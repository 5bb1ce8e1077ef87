"""Voices: who speaks when, by ear alone."""
