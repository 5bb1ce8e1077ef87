"""Labelled material for the curator's measures: real footage, altered so that what a measure claims is known.

`python -m tests.quality_cases [CLIP ...]` prints the table of docs/curation.md. Without clips it uses the four demo
clips of the package index.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from mitds.annotators.faces.yunet import YuNet
from mitds.annotators.quality.contracts import PictureMeter, Sample, measure
from mitds.annotators.quality.registry import PICTURE
from mitds.media import grid_frames
from mitds.time import Grid
from mitds.weights import resolve

FPS = 5
SECONDS = 5
SIDE = 960
DEMO = ("media.statement", "media.podium", "media.introduction", "media.syncnet_example")

Samples = list[Sample]
Change = Callable[[Samples], Samples]


def samples_of(path: Path, start: float = 0.5, seconds: float = SECONDS) -> Samples:
    """Read a stretch of a video as the quality stage does, with faces found anew in each picture."""
    grid = Grid(Fraction(start).limit_denominator(1000), int(seconds * FPS), Fraction(FPS))
    frames = list(grid_frames(path, grid, max_side=SIDE))
    detector = YuNet()
    found = [detector.detect(f) for f in frames]
    people = int(np.median([(d.score_N > 0.6).sum() for d in found]))
    samples = []
    for k, (frame, faces) in enumerate(zip(frames, found, strict=True)):
        boxes = np.full((people, 4), np.nan, np.float32)
        own = sorted(faces.xyxy_N4[:people].tolist())
        boxes[: len(own)] = np.array(own, np.float32).reshape(-1, 4)
        samples.append(Sample(k / FPS, frame, boxes))
    return samples


def recoded(frame_HWC: np.ndarray, quality: int = 85) -> np.ndarray:
    """Pass a picture through JPEG, so that no two copies of it are the same by construction."""
    _, data = cv2.imencode(".jpg", frame_HWC, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def _each(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    return lambda samples: [Sample(s.time_s, change(s.frame_HWC), s.face_xyxy_N4) for s in samples]


def _through(window: Callable[[float], tuple[float, float, float]]) -> Change:
    """Look through a moving window: of time, its left and top as shares of the spare room, and its size."""

    def change(samples: Samples) -> Samples:
        out = []
        for s in samples:
            left, top, size = window(s.time_s)
            height, width = s.frame_HWC.shape[:2]
            x, y = left * width * (1 - size), top * height * (1 - size)
            matrix = np.array([[1 / size, 0, -x / size], [0, 1 / size, -y / size]])
            seen = cv2.warpAffine(s.frame_HWC, matrix, (width, height), flags=cv2.INTER_CUBIC)
            boxes = (s.face_xyxy_N4 - np.array([x, y, x, y], np.float32)) / np.float32(size)
            out.append(Sample(s.time_s, recoded(seen), boxes))
        return out

    return change


def _pan(time_s: float) -> tuple[float, float, float]:
    return 0.05 + 0.17 * time_s, 0.5, 0.75


def _zoom(time_s: float) -> tuple[float, float, float]:
    return 0.5, 0.5, 0.95 * float(np.exp(-0.04 * time_s))


def _jitter(time_s: float) -> tuple[float, float, float]:
    left, top = np.random.default_rng(round(time_s * 1000)).uniform(0.3, 0.7, 2)
    return float(left), float(top), 0.85


def _frozen(samples: Samples) -> Samples:
    first = samples[0]
    return [
        Sample(s.time_s, recoded(first.frame_HWC, 80 + k % 3), first.face_xyxy_N4)
        for k, s in enumerate(samples)
    ]


def _photograph(samples: Samples) -> Samples:
    """A still that is panned over and zoomed into, as films show photographs."""
    move = _through(lambda t: (0.3 + 0.05 * t, 0.5, 0.95 * float(np.exp(-0.03 * t))))
    return move(_frozen(samples))


def _frozen_face(samples: Samples) -> Samples:
    """Paste the first person's head of the first picture over all others, as a still panel would show it."""
    first, out = samples[0], []
    if not len(first.face_xyxy_N4) or np.isnan(first.face_xyxy_N4[0]).any():
        return [Sample(s.time_s, s.frame_HWC, s.face_xyxy_N4[:0]) for s in samples]
    x1, y1, x2, y2 = np.rint(first.face_xyxy_N4[0]).astype(int)
    part = slice(max(0, y1), y2), slice(max(0, x1), x2)
    for k, s in enumerate(samples):
        frame, boxes = s.frame_HWC.copy(), s.face_xyxy_N4.copy()
        frame[part] = first.frame_HWC[part]
        boxes[0] = first.face_xyxy_N4[0]
        out.append(Sample(s.time_s, recoded(frame, 80 + k % 3), boxes))
    return out


def _blurred(share: float) -> Change:
    """Blur by a share of the smallest face's width, or of a tenth of the picture where there is no face."""

    def change(samples: Samples) -> Samples:
        widths = [float(w) for s in samples for w in s.face_xyxy_N4[:, 2] - s.face_xyxy_N4[:, 0]]
        width = np.nanmin(widths) if widths else samples[0].frame_HWC.shape[1] / 10
        return _each(lambda f: cv2.GaussianBlur(f, (0, 0), max(0.3, share * width)))(samples)

    return change


def _captioned(frame_HWC: np.ndarray) -> np.ndarray:
    frame = frame_HWC.copy()
    height, width = frame.shape[:2]
    scale = height / 400
    for line, text in enumerate(("We never said that", "it would be easy")):
        place = (round(0.2 * width), round((0.84 + 0.09 * line) * height))
        for colour, thick in (((0, 0, 0), 4), ((255, 255, 255), 1)):
            thickness = max(1, round(thick * scale))
            cv2.putText(frame, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thickness, cv2.LINE_AA)
    return frame


def _boxed(frame_HWC: np.ndarray) -> np.ndarray:
    frame = frame_HWC.copy()
    bar = round(0.1 * len(frame))
    frame[:bar] = frame[-bar:] = 4
    return frame


def _scaled(gain: float, lift: float = 0.0) -> Change:
    return _each(lambda f: np.clip(f * gain + lift, 0, 255).astype(np.uint8))


@dataclass(frozen=True)
class Case:
    """One claim: footage altered so gives a score beyond the threshold, the same footage unaltered does not."""

    measure: str
    score: str
    threshold: float
    what: str
    change: Change
    below: bool = False
    """True where the altered footage's score lies below the threshold."""

    def hit(self, value: float) -> bool:
        """Say whether a score is beyond the threshold."""
        return value < self.threshold if self.below else value > self.threshold


CASES = (
    Case("camera", "camera_motion", 0.03, "panned, about .07 of the height a second", _through(_pan)),
    Case("camera", "camera_pan", 0.03, "panned, about .07 of the height a second", _through(_pan)),
    Case("camera", "camera_shake", 0.03, "shaken by 1 to 3 % of the height", _through(_jitter)),
    Case("camera", "camera_zoom", 0.02, "zoomed, 4 % a second", _through(_zoom)),
    Case("stills", "still_share", 0.9, "first picture, recoded", _frozen),
    Case("stills", "still_share", 0.9, "first picture, zoomed and panned", _photograph),
    Case("stills", "still_face_share", 0.9, "one head still, the rest moves", _frozen_face),
    Case("blur", "face_sharpness", 0.3, "blurred, sigma 4 % of the face", _blurred(0.04), below=True),
    Case("blur", "frame_sharpness", 0.5, "blurred, sigma 6 % of the face", _blurred(0.06), below=True),
    Case("exposure", "dark_share", 0.5, "brightness x .1", _scaled(0.1)),
    Case("exposure", "highlights", 0.3, "brightness x .2", _scaled(0.2), below=True),
    Case("exposure", "bright_share", 0.4, "brightness x 4", _scaled(4.0)),
    Case("exposure", "contrast", 0.25, "contrast x .25", _scaled(0.25, 90), below=True),
    Case("exposure", "face_contrast", 0.2, "contrast x .25", _scaled(0.25, 90), below=True),
    Case("exposure", "border_share", 0.1, "bars of a tenth above and below", _each(_boxed)),
    Case("text", "text_area", 0.01, "two lines of caption", _each(_captioned)),
)  # fmt: skip


@cache
def _meter(name: str) -> PictureMeter:
    return PICTURE.get(name)()


def value(case: Case, samples: Samples) -> float | None:
    """Return the case's score of some samples; None where it cannot be had."""
    fresh = [Sample(s.time_s, s.frame_HWC, s.face_xyxy_N4) for s in samples]
    return measure(_meter(case.measure), fresh).get(case.score)


@dataclass(frozen=True)
class Rates:
    """How a case went: hits of so many altered clips, false alarms of so many unaltered ones, and the AUC."""

    hits: int
    altered: int
    alarms: int
    plain: int
    auc: float
    range_plain: tuple[float, float]
    range_altered: tuple[float, float]


def rates(case: Case, clips: Iterable[Samples]) -> Rates:
    """Measure a case on clips, each as it is and altered."""
    pairs = [(value(case, clip), value(case, case.change(clip))) for clip in clips]
    plain = np.array([p for p, _ in pairs if p is not None])
    altered = np.array([a for _, a in pairs if a is not None])
    sign = -1 if case.below else 1
    wins = sign * altered[:, None] > sign * plain[None]
    ties = altered[:, None] == plain[None]
    return Rates(
        hits=sum(case.hit(v) for v in altered),
        altered=len(altered),
        alarms=sum(case.hit(v) for v in plain),
        plain=len(plain),
        auc=float((wins + 0.5 * ties).mean()),
        range_plain=(float(plain.min()), float(plain.max())),
        range_altered=(float(altered.min()), float(altered.max())),
    )


def table(clips: Sequence[Samples]) -> str:
    """Return the table of docs/curation.md."""
    lines = [
        "| score | altered footage | limit | found | false alarms | AUC | plain | altered |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case in CASES:
        r = rates(case, clips)
        spans = [f"{low:.3g}–{high:.3g}" for low, high in (r.range_plain, r.range_altered)]
        lines.append(
            f"| `{case.score}` | {case.what} | {'<' if case.below else '>'} {case.threshold:g} | {r.hits}/{r.altered} "
            f"| {r.alarms}/{r.plain} | {r.auc:.2f} | {spans[0]} | {spans[1]} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    named = [Path(name) for name in sys.argv[1:]] or [resolve(name) for name in DEMO]
    sys.stdout.write(table([samples_of(path) for path in named]) + "\n")
