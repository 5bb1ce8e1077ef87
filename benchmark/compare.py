"""Scoring one pair of videos or pictures, without any dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from mitds.benchmark.cards import card_of
from mitds.benchmark.contracts import Metric, Scene, SetMetric
from mitds.benchmark.evaluation.engine import choose
from mitds.benchmark.footage import Footage, read_footage
from mitds.benchmark.registries import METRICS, metric_id
from mitds.errors import Undecodable, UsageError
from mitds.time import AUDIO_HZ

_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"RIFF")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One metric of one pair.

    Attributes:
        metric: Metric id.
        value: None where it could not be measured; `reason` says why.
        unit: Of the value.
        detail: What the metric adds.
    """

    metric: str
    value: float | None
    unit: str
    reason: str = ""
    detail: dict[str, Any]


def read_media(path: Path) -> Footage:
    """Decode a video with its sound, or a picture as a video of one frame.

    Raises:
        UsageError: If there is no such file.
        NotVideo: If it is neither.
    """
    if not path.is_file():
        raise UsageError("there is no such file", where=str(path), remedy="Check the path.")
    with path.open("rb") as file:
        head = file.read(12)
    if head.startswith(_PICTURES) and head[8:12] != b"AVI ":
        return _picture(path)
    footage = read_footage(path)
    footage.wave_S = _sound(path)
    return footage


def _picture(path: Path) -> Footage:
    import cv2
    import numpy as np

    bgr_HWC = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if bgr_HWC is None:
        raise Undecodable("the picture does not decode", where=str(path), remedy="Save it anew, as PNG.")
    return Footage(np.ascontiguousarray(bgr_HWC[None, ..., ::-1]))


def _sound(path: Path) -> Any:
    from mitds.media import read_sound
    from mitds.media.sound import resample

    sound = read_sound(path)
    if sound is None:
        return None
    return resample(sound.wave_CS.mean(axis=0, keepdims=True), sound.rate, AUDIO_HZ)[0]


def compare(reference: Path | None, generated: Path, names: Sequence[str]) -> list[Compared]:
    """Score one pair.

    Args:
        reference: The real video or picture; None for metrics that need none.
        generated: The video or picture to score.
        names: Metric ids or short names.

    Raises:
        UsageError: If a metric needs labels, or a reference that was not given, or the pair's shapes differ.
        MissingWeights: If a judge's weights cannot be had.
    """
    ids = [metric_id(name) for name in names]
    cards = {name: card_of(name) for name in ids}
    for name, card in cards.items():
        if card.needs == "scene":
            raise UsageError(
                f"{name} needs to know who is where and who speaks",
                remedy="Use mitds eval on a release; of a bare pair it cannot be had.",
            )
        if card.needs in ("pair", "set") and reference is None:
            raise UsageError(f"{name} compares with a reference", remedy="Give --reference.")
    output = read_media(generated)
    scene = Scene("pair", read_media(reference) if reference is not None else output)
    if output.shape != scene.real.shape:
        raise UsageError(
            f"the two differ in shape: {scene.real.shape} and {output.shape}",
            where=str(generated),
            remedy="Bring them to one size and one number of frames.",
        )
    missing = choose(ids).unavailable
    return [_missing(n, missing[n]) if n in missing else _measure(n, scene, output) for n in ids]


def _missing(metric: str, why: str) -> Compared:
    return Compared(metric=metric, value=None, unit="", reason=f"unavailable: {why}", detail={})


def _measure(name: str, scene: Scene, output: Footage) -> Compared:
    metric = METRICS.get(name)()
    unit = metric.card.unit
    if metric.card.needs == "set":
        sets = cast(SetMetric, metric)
        found = sets.reduce([sets.observe(scene, scene.real)], [sets.observe(scene, output)])
        return Compared(
            metric=name, value=found.value, unit=unit, reason=found.reason, detail=dict(found.detail)
        )
    first = cast(Metric, metric).score(scene, output)[0]
    reason = "" if first.status == "ok" else first.status
    return Compared(metric=name, value=first.value, unit=unit, reason=reason, detail=dict(first.detail))
