"""Clip rules on drawn tracks: every frame ends in one candidate, and each rule can fail."""

from __future__ import annotations

import numpy as np
import pytest

from mitds.manifests.records import FaceTrack
from mitds.pipeline.selection import REASONS, ClipRules, candidates


def track(
    number: int, identity: str, first: int, count: int, side: float = 100.0, x: float = 0.0
) -> FaceTrack:
    box = np.tile(np.array([x, 50, x + side, 50 + side], np.float32), (count, 1))
    return FaceTrack(
        track=number,
        first=first,
        xyxy_T4=box,
        score_T=np.ones(count, np.float32),
        landmarks_T52=np.zeros((count, 5, 2), np.float32),
        detected_T=np.ones(count, bool),
        embedding_D=None,
        identity=identity,
    )


def speaking(*tracks: FaceTrack) -> dict[int, np.ndarray]:
    return {t.track: np.full(len(t.score_T), 0.9, np.float32) for t in tracks}


def judge(frames: int, tracks: list[FaceTrack], rules: ClipRules = ClipRules(), height: int = 720, says=None):
    return candidates(frames, height, tracks, speaking(*tracks) if says is None else says, rules)


def test_two_people_throughout_are_kept_from_left_to_right():
    right, left = track(0, "P0", 0, 150, x=500), track(1, "P1", 0, 150, x=100)
    (clip,) = judge(150, [right, left])
    assert (clip.status, clip.reasons) == ("kept", ())
    assert clip.identities == ("P1", "P0")
    assert clip.scores["seconds"] == 6.0


def test_every_frame_lies_in_exactly_one_candidate():
    tracks = [track(0, "P0", 0, 300), track(1, "P1", 100, 160, x=300), track(2, "P2", 180, 90, x=600)]
    found = judge(300, tracks)
    covered = np.zeros(300, int)
    for c in found:
        covered[c.first : c.first + c.count] += 1
    assert (covered == 1).all()
    assert [len(c.identities) for c in found] == [1, 2, 3, 2, 1]


def test_exactly_five_seconds_is_too_short_and_one_frame_more_is_not():
    pair = lambda n: [track(0, "P0", 0, n), track(1, "P1", 0, n, x=300)]  # noqa: E731
    assert judge(125, pair(125))[0].reasons == ("too_short",)
    assert judge(126, pair(126))[0].status == "kept"


@pytest.mark.parametrize(
    ("sides", "rules", "reason"),
    [
        ((100, 60), ClipRules(), "uneven_faces"),
        ((40, 40), ClipRules(), "small_face"),
        ((50, 50), ClipRules(min_face_px=64), "few_pixels"),
    ],
)
def test_face_size_rules(sides: tuple[float, float], rules: ClipRules, reason: str):
    pair = [track(0, "P0", 0, 150, sides[0]), track(1, "P1", 0, 150, sides[1], x=300)]
    assert reason in judge(150, pair, rules)[0].reasons


def test_size_is_judged_by_framing_not_by_pixels():
    pair = [track(0, "P0", 0, 150, 20), track(1, "P1", 0, 150, 20, x=60)]
    assert judge(150, pair, height=240)[0].status == "kept"
    assert judge(150, pair, height=720)[0].reasons == ("small_face",)


def test_silence_and_unscored_faces_break_the_speaking_rule():
    pair = [track(0, "P0", 0, 150), track(1, "P1", 0, 150, x=300)]
    silent = {0: np.full(150, 0.1, np.float32), 1: np.full(150, np.nan, np.float32)}
    assert judge(150, pair, says=silent)[0].reasons == ("nobody_speaks",)


def test_short_absence_is_bridged_and_long_absence_splits():
    def pair(gap: int) -> list[FaceTrack]:
        return [
            track(0, "P0", 0, 300),
            track(1, "P1", 0, 140, x=300),
            track(2, "P1", 140 + gap, 160 - gap, x=300),
        ]

    assert [c.identities for c in judge(300, pair(20))] == [("P0", "P1")]
    assert [len(c.identities) for c in judge(300, pair(40))] == [2, 1, 2]


def test_passer_by_is_counted_but_does_not_split():
    tracks = [track(0, "P0", 0, 200), track(1, "P1", 0, 200, x=300), track(2, "P2", 90, 10, x=600)]
    (clip,) = judge(200, tracks)
    assert clip.status == "kept"
    assert clip.scores["passers_by"] == 1


def test_five_people_and_nobody():
    five = [track(n, f"P{n}", 0, 150, x=110 * n) for n in range(5)]
    assert judge(150, five)[0].reasons == ("too_many_people",)
    assert judge(150, [])[0].reasons == ("no_face",)
    assert set(judge(150, five)[0].reasons) <= set(REASONS)
