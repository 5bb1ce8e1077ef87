"""Metrics, judges, evaluation and leaderboard. Nothing is imported here."""
