"""Submissions: what a team hands in, packed, and checked by the same code for team, CI and host."""

from mitds.benchmark.submission.check import Inspected, check, inspect, video_digests
from mitds.benchmark.submission.pack import pack
from mitds.benchmark.submission.places import places_of
from mitds.benchmark.submission.problems import Problem

__all__ = ["Inspected", "Problem", "check", "inspect", "pack", "places_of", "video_digests"]
