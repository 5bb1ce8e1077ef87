"""Hosting a leaderboard: bundles are checked, scored by the host, and shown beside the controls."""

from mitds.benchmark.board.build import BuiltBoard, build_board

__all__ = ["BuiltBoard", "build_board"]
