"""Proofs of binding, leakage, lag and identity: closed forms, SciPy, and a real clip of known speech.

The real clip is the package index's statement: two men in view, of whom the front one speaks, in these turns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import permutations

import numpy as np

from mitds.benchmark.contracts import Scene, Score
from mitds.benchmark.footage import Footage
from mitds.benchmark.metrics.binding import BindingLipMotion
from mitds.benchmark.metrics.identity import Identity, mean_embedding
from mitds.benchmark.metrics.lag import FRAME_MS, LEAD, LagOnset, activity, penalty, raw_lag, steps
from mitds.benchmark.metrics.leakage import LeakageLipMotion
from mitds.benchmark.metrics.talk import (
    Reals,
    binding_matrix,
    listening_NT,
    margins,
    solo_NT,
    verdict,
    worst_if_absent,
)
from mitds.benchmark.proofs import Proof
from mitds.manifests.records import Clip, ClipArrays, FaceTrack, Person, Rights, Turn

FRAMES = 125
SPEECH = ((1.04, 1.52), (2.08, 3.66), (4.28, 5.0))
"""Turns of the front man in the first five seconds of media.statement, seconds, labelled by eye and ear."""

Turns = tuple[tuple[float, float], ...]


def proofs() -> Iterator[Proof]:
    """Yield every row; the last ones run the networks on real footage."""
    yield from _matrices()
    yield from _masks()
    yield from _lags()
    yield from _identities()
    yield from _real()


def _row(metric: str, check: str, expected: float, measured: float, source: str, tolerance: float) -> Proof:
    return Proof(
        metric=metric,
        check=check,
        expected=float(expected),
        measured=float(measured),
        tolerance=tolerance,
        source=source,
    )


def _matrices() -> Iterator[Proof]:
    name, form = "binding.lip-motion@1", "closed form"
    matrix_NN = np.array([[0.9, 0.2], [0.1, 0.7]])
    yield _row(name, "margin of [[.9 .2] [.1 .7]]", 0.65, margins(matrix_NN).mean(), form, 1e-12)
    yield _row(name, "faces exchanged", -0.65, margins(matrix_NN[:, ::-1]).mean(), form, 1e-12)
    score_NT = np.full((2, 60), np.nan)
    solos_NT = np.repeat(np.eye(2, dtype=np.bool_), 30, axis=1)
    hidden_NN = binding_matrix(score_NT, solos_NT, np.ones((2, 60), np.bool_))
    yield _row(name, "no face is ever shown", -1.0, margins(hidden_NN).mean(), form, 1e-12)
    random_NN = np.random.default_rng(0).random((4, 4))
    best = max(random_NN[np.arange(4), list(order)].sum() for order in permutations(range(4)))
    own = random_NN.trace()
    yield _row(
        name,
        "right assignment is the best of all 24 orders",
        float(own >= best),
        float(verdict(random_NN).assigned),
        "enumeration",
        0,
    )
    half_T = worst_if_absent(np.array([0.2, np.nan]), 1.0)
    yield _row("leakage.lip-motion@1", "a listener hidden for half the time", 0.6, half_T.mean(), form, 1e-12)


def talking(*turns: Turns, frames: int = FRAMES) -> Clip:
    """Return a clip in which person n speaks in turns[n], seconds."""
    persons = tuple(
        Person(
            track=n,
            identity=f"P{n}",
            voice=f"V{n}",
            voice_probability=1.0,
            voice_status="bound",
            turns=tuple(Turn(start_s=start, end_s=end) for start, end in spans),
            speaking_model="truth",
        )
        for n, spans in enumerate(turns)
    )
    return Clip(
        key="0" * 16, source_id="0" * 64, source_name="", source_url="", rights=Rights(), shot="",
        start=Fraction(0), end=Fraction(frames, 25), frames=frames, width=320, height=240, persons=persons,
        offscreen=(), unassigned=(), status="kept", reasons=(), scores={}, models={}, digests={},
    )  # fmt: skip


def _masks() -> Iterator[Proof]:
    clip = talking(((1.0, 2.0),), ((1.6, 3.0),))
    solos = solo_NT(clip).sum(axis=1)
    yield _row("binding.lip-motion@1", "solo frames of 1..2 s against 1.6..3 s", 11, solos[0], "count", 0)
    listens = listening_NT(clip).sum(axis=1)
    yield _row("leakage.lip-motion@1", "listening frames of the first: 2.32..3 s", 17, listens[0], "count", 0)


def mouth(first: int, frames: int = FRAMES) -> Reals:
    """Return lips that are shut until a frame and then open and shut four times a second, lips_T2 px."""
    frame_T = np.arange(frames)
    opening_T = np.where(frame_T >= first, 6 * np.abs(np.sin((frame_T - first + 0.5) * np.pi / 6)), 0.2)
    return np.stack([opening_T, np.full(frames, 60.0)], axis=1)


def _lags() -> Iterator[Proof]:
    name = "lag-onset.lips@1"
    for late in (-5, 0, 5, 10, 20):
        lag = raw_lag(steps(activity(mouth(50 + late))), 50)
        check = (
            f"a mouth that jumps open {late} frames after the voice: the frame before, as speed is central"
        )
        found = np.nan if lag is None else lag
        yield _row(name, check, (late - 1) * FRAME_MS, found, "construction", 1e-9)
    still = raw_lag(steps(activity(mouth(FRAMES))), 50)
    yield _row(name, "a mouth that never moves", 1000, penalty(still), "definition", 0)
    yield _row(name, "a mouth that is 120 ms early", 0, penalty(-LEAD * FRAME_MS), "definition", 0)


def _identities() -> Iterator[Proof]:
    from scipy.spatial.distance import cosine

    row_ED = np.random.default_rng(1).standard_normal((5, 128)).astype(np.float32)
    found_E = np.array([True, False, True, True, True])
    mean_D = mean_embedding(row_ED, found_E)
    expected = 1 - cosine(row_ED[found_E].astype(np.float64).mean(axis=0), row_ED[0].astype(np.float64))
    unit_D = row_ED[0] / np.linalg.norm(row_ED[0].astype(np.float64))
    yield _row("identity.sface@1", "cosine with a mean embedding", expected, mean_D @ unit_D, "SciPy", 1e-6)


def statement(times: int = 2) -> Scene:
    """Return the first five seconds of media.statement as an item with its truth; row 0 is the speaker.

    The pictures are enlarged twofold, or so many times: lips are judged on faces from 48 px, and the silent man's
    has 41.
    """
    from mitds.annotators.faces.tracker import YuNetTracker
    from mitds.media import grid_frames, probe, read_sound
    from mitds.time import Grid
    from mitds.weights import resolve

    path = resolve("media.statement")
    grid = Grid(probe(path).start, FRAMES)
    frames_THWC = np.stack([f.repeat(times, axis=0).repeat(times, axis=1) for f in grid_frames(path, grid)])
    sound = read_sound(path)
    tracks = [track for track in YuNetTracker().track(frames_THWC) if len(track.score_T) >= FRAMES // 2]
    tracks.sort(key=lambda track: -float((track.xyxy_T4[:, 2] - track.xyxy_T4[:, 0]).mean()))
    wave_S = None if sound is None else sound.part(grid.start, grid.end).mono()
    clip = talking(SPEECH, *[()] * (len(tracks) - 1))
    return Scene("statement", Footage(frames_THWC, wave_S), clip, _arrays(tracks))


def _arrays(tracks: list[FaceTrack]) -> ClipArrays:
    box_NT4 = np.full((len(tracks), FRAMES, 4), np.nan, np.float32)
    for n, track in enumerate(tracks):
        box_NT4[n, track.first : track.last + 1] = track.xyxy_T4
    seen_NT = np.isfinite(box_NT4[..., 0])
    pose_NTK3 = np.zeros((*seen_NT.shape, 133, 3), np.float32)
    return ClipArrays(
        box_NT4, seen_NT.astype(np.float32), np.zeros(seen_NT.shape, np.float32), pose_NTK3, seen_NT
    )


def delayed(scene: Scene, frames: int) -> Footage:
    """Return an item's real footage with its pictures a few frames late; the first one stands meanwhile."""
    late_T = np.maximum(np.arange(FRAMES) - frames, 0)
    return Footage(scene.real.frames_THWC[late_T])


def exchanged(scene: Scene) -> Scene:
    """Return an item of two people with their voices exchanged."""
    if scene.clip is None:
        return scene
    one, two = scene.clip.persons
    persons = (replace(one, turns=two.turns), replace(two, turns=one.turns))
    return replace(scene, clip=replace(scene.clip, persons=persons))


def value(scores: list[Score]) -> float:
    """Return the mean of the values of an item; NaN where there is none."""
    known = [score.value for score in scores if score.value is not None]
    return float(np.mean(known)) if known else float("nan")


def _real() -> Iterator[Proof]:
    scene, source = statement(), "media.statement, turns labelled by hand"
    frozen = Footage(np.repeat(scene.real.frames_THWC[:1], FRAMES, axis=0))
    margin = value(BindingLipMotion().score(scene, scene.real))
    wrong = value(BindingLipMotion().score(exchanged(scene), scene.real))
    name = BindingLipMotion.card.id
    yield _row(name, "as filmed: margin", 0.64, margin, source, 0.1)
    yield _row(name, "voices exchanged: the sign turns", -margin, wrong, source, 1e-9)
    yield _row(name, "frozen picture", 0, value(BindingLipMotion().score(scene, frozen)), source, 0.02)
    leak = value(LeakageLipMotion().score(scene, scene.real))
    yield _row(LeakageLipMotion.card.id, "the silent man as filmed", 0, leak, source, 0.05)
    lags = [value(LagOnset().score(scene, delayed(scene, frames))) for frames in (5, 10)]
    yield _row(LagOnset.card.id, "five frames later still", 200, lags[1] - lags[0], source, FRAME_MS)
    same = value(Identity().score(scene, scene.real))
    yield _row(Identity.card.id, "as filmed", 0.9, same, source, 0.06)
