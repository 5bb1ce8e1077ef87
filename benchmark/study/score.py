"""Votes to GSB: (good + same) / (bad + same), as Kling-Avatar reports it, with its interval.

Source: Kling-Avatar (Ding et al. 2025): GSB of a system against another. 1 is even; above 1 the first is preferred.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mitds.benchmark.results import Estimate
from mitds.benchmark.statistics import Floats, cluster_weights, interval
from mitds.benchmark.study.records import Ballot, Pair, StudyKey, Vote, read_ballot, read_key
from mitds.config import require
from mitds.errors import InputFault

_FOR, _AGAINST = ("good", "same"), ("bad", "same")
"""What stands above and below the fraction bar: a tie counts on both sides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreConfig:
    """When a rater is left out; the rule is part of the result.

    Attributes:
        max_identical_missed: Largest share of pairs of one video with itself on which a preference is forgiven.
        min_agreement: Least share of swapped repeats that must get the same answer.
    """

    max_identical_missed: float = 0.5
    min_agreement: float = 0.5

    def __post_init__(self) -> None:
        require(
            0 <= self.max_identical_missed <= 1, "max_identical_missed", self.max_identical_missed, "0 to 1"
        )
        require(0 <= self.min_agreement <= 1, "min_agreement", self.min_agreement, "0 to 1")

    @property
    def rule(self) -> str:
        """The rule in words."""
        return (
            f"left out: who prefers one of two identical videos in more than {self.max_identical_missed:.0%} of such "
            f"pairs, or answers fewer than {self.min_agreement:.0%} of repeated pairs the same way with sides swapped"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """The votes on one question, or on all.

    Attributes:
        good: Votes for the first system.
        same: Votes for neither.
        bad: Votes for the second system.
        gsb: (good + same) / (bad + same) with its interval; None where nobody voted or every vote was good. A
            bound is None where the ratio has none.
        share: (good + same) / (good + 2 same + bad), 0..1, even at 0.5: GSB on a scale that has an end.
    """

    good: int
    same: int
    bad: int
    gsb: Estimate | None
    share: Estimate | None

    def words(self) -> str:
        """Say the ratio, its interval and the counts in a line."""
        counts = f"{self.good} good, {self.same} same, {self.bad} bad"
        if self.gsb is None:
            return f"no GSB ({counts})"
        low, high = (f"{v:.2f}" if v is not None else "none" for v in (self.gsb.low, self.gsb.high))
        return f"GSB {self.gsb.value:.2f} [{low}, {high}] ({counts})"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult:
    """The outcome of a study.

    Attributes:
        study: Its opaque name.
        systems: The first is what GSB speaks of.
        overall: All questions together.
        questions: By question.
        raters: Raters that count.
        items: Items that were voted on.
        agreement: Share of swapped repeats answered the same way, by rater; None where none was answered.
        excluded: Reason by rater.
        rule: The rule by which raters are left out.
    """

    study: str
    systems: tuple[str, str]
    overall: Preference
    questions: dict[str, Preference]
    raters: int
    items: int
    agreement: dict[str, float | None]
    excluded: dict[str, str]
    rule: str
    schema: str = "mitds.study-result/1"

    def words(self) -> str:
        """Say the result in a few lines."""
        lines = [f"{self.systems[0]} against {self.systems[1]}: {self.raters} raters, {self.items} items"]
        asked = {"all questions": self.overall} | (self.questions if len(self.questions) > 1 else {})
        lines += [f"{question}: {found.words()}" for question, found in asked.items()]
        lines += [f"left out {rater}: {why}" for rater, why in self.excluded.items()]
        return "\n".join([*lines, self.rule])


@dataclass(frozen=True, slots=True)
class _Counted:
    """A vote that counts, from the first system's point of view."""

    rater: str
    item: str
    question: int
    outcome: str


def score_study(key: Path, votes: Sequence[Path], config: ScoreConfig = ScoreConfig()) -> StudyResult:
    """Score the files that raters sent back.

    The interval resamples raters and items at once: another crowd on other items.

    Args:
        key: The host's `key.json`.
        votes: One file a rater.
        config: When a rater is left out.

    Raises:
        InputFault: A file that is no ballot of this study, two files of one rater, or one rater's votes under two ids.
    """
    known = read_key(key)
    ballots = _ballots(votes, known)
    pairs = {pair.pair: pair for pair in known.pairs}
    excluded = {b.rater: why for b in ballots if (why := _unfit(b, pairs, config))}
    counted = [vote for ballot in ballots if ballot.rater not in excluded for vote in _counted(ballot, pairs)]
    return StudyResult(
        study=known.study,
        systems=known.systems,
        overall=preference(counted),
        questions={
            question: preference([vote for vote in counted if vote.question == n])
            for n, question in enumerate(known.questions)
        },
        raters=len({vote.rater for vote in counted}),
        items=len({vote.item for vote in counted}),
        agreement={ballot.rater: agreement(ballot, pairs) for ballot in ballots},
        excluded=excluded,
        rule=config.rule,
    )


def _ballots(paths: Sequence[Path], key: StudyKey) -> list[Ballot]:
    """Read all files; the order of files does not matter."""
    seen: dict[object, Path] = {}
    ballots = []
    for path in paths:
        ballot = read_ballot(path, key)
        for mark in (ballot.rater, ballot.votes):
            if ballot.votes and mark in seen:
                raise InputFault(
                    f"it repeats the votes of {seen[mark]}", where=str(path), remedy="Leave one of them out."
                )
            seen[mark] = path
        ballots.append(ballot)
    return sorted(ballots, key=lambda ballot: ballot.rater)


def outcome(vote: Vote, pair: Pair) -> str:
    """Return what a vote means for the first system: "good", "same" or "bad"."""
    if vote.answer == "same":
        return "same"
    chosen = pair.first if vote.answer == "first" else 1 - pair.first
    return "good" if chosen == 0 else "bad"


def _counted(ballot: Ballot, pairs: Mapping[str, Pair]) -> list[_Counted]:
    return [
        _Counted(ballot.rater, pairs[vote.pair].item, vote.question, outcome(vote, pairs[vote.pair]))
        for vote in ballot.votes
        if pairs[vote.pair].kind == "vote"
    ]


def agreement(ballot: Ballot, pairs: Mapping[str, Pair]) -> float | None:
    """Return the share of swapped repeats that a rater answers the same way; None where none can be compared."""
    said = {(v.pair, v.question): outcome(v, pairs[v.pair]) for v in ballot.votes}
    compared = [
        said[vote.pair, vote.question] == said[pairs[vote.pair].of, vote.question]
        for vote in ballot.votes
        if pairs[vote.pair].kind == "repeat" and (pairs[vote.pair].of, vote.question) in said
    ]
    return sum(compared) / len(compared) if compared else None


def _unfit(ballot: Ballot, pairs: Mapping[str, Pair], config: ScoreConfig) -> str:
    """Return why a rater is left out; empty where not."""
    answers = [vote.answer for vote in ballot.votes if pairs[vote.pair].kind == "identical"]
    missed = sum(answer != "same" for answer in answers)
    if answers and missed / len(answers) > config.max_identical_missed:
        return f"preferred one of two identical videos in {missed} of {len(answers)} pairs"
    agreed = agreement(ballot, pairs)
    if agreed is not None and agreed < config.min_agreement:
        return f"answered {agreed:.0%} of the repeated pairs the same way"
    return ""


def preference(votes: Sequence[_Counted]) -> Preference:
    """Count votes and put an interval on their ratio."""
    outcomes = [vote.outcome for vote in votes]
    share = _share(votes)
    return Preference(
        good=outcomes.count("good"),
        same=outcomes.count("same"),
        bad=outcomes.count("bad"),
        gsb=_gsb(share),
        share=share,
    )


def _share(votes: Sequence[_Counted]) -> Estimate | None:
    """Return GSB / (1 + GSB) with its interval: each resampled rater meets each resampled item."""
    if not votes:
        return None
    raters, items = sorted({v.rater for v in votes}), sorted({v.item for v in votes})
    above_RI, below_RI = np.zeros((2, len(raters), len(items)))
    for vote in votes:
        place = raters.index(vote.rater), items.index(vote.item)
        above_RI[place] += vote.outcome in _FOR
        below_RI[place] += vote.outcome in _AGAINST
    value = float(above_RI.sum() / (above_RI.sum() + below_RI.sum()))
    if len(raters) < 2 or len(items) < 2:
        return Estimate(value=value, n=len(votes))
    low, high = interval(_share_draws(above_RI, below_RI))
    return Estimate(value=value, low=low, high=high, n=len(votes))


def _share_draws(above_RI: Floats, below_RI: Floats) -> Floats:
    raters, items = above_RI.shape
    weight_BR = cluster_weights([f"{n:06d}" for n in range(raters)])
    # The stream of draws is fixed: shifted by one, draws of items are independent of those of raters.
    weight_BI = np.roll(cluster_weights([f"{n:06d}" for n in range(items)]), 1, axis=0)
    above_B, below_B = (((weight_BR @ votes_RI) * weight_BI).sum(axis=1) for votes_RI in (above_RI, below_RI))
    total_B = above_B + below_B
    share_B: Floats = np.divide(above_B, total_B, out=np.full(len(total_B), np.nan), where=total_B > 0)
    return share_B


def _gsb(share: Estimate | None) -> Estimate | None:
    """Turn a share into the ratio; quantiles go over as they are, because the ratio rises with the share."""
    value = _ratio(share.value) if share is not None else None
    if share is None or value is None:
        return None
    return Estimate(value=value, low=_ratio(share.low), high=_ratio(share.high), n=share.n)


def _ratio(share: float | None) -> float | None:
    return None if share is None or share >= 1 else share / (1 - share)
