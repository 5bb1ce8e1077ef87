"""Submissions: what a team hands in, packed, and checked by the same code for team, CI and host."""

from mitds.benchmark.submission.check import check
from mitds.benchmark.submission.pack import pack
from mitds.benchmark.submission.problems import Problem

__all__ = ["Problem", "check", "pack"]
