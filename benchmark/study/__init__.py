"""Blind pairwise votes of people on two systems' outputs: the page that asks, and the score."""

from mitds.benchmark.study.build import CheckConfig, build_study
from mitds.benchmark.study.score import ScoreConfig, StudyResult, score_study

__all__ = ["CheckConfig", "ScoreConfig", "StudyResult", "build_study", "score_study"]
