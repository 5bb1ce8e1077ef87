"""Stages that turn records into records, and the Ray runner."""
