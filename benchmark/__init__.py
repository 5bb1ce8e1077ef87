"""Metrics, judges, evaluation and leaderboard. This room is furnished by a later release."""
