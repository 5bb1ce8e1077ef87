"""Reads the JSON files of a truth: what is said of the whole video, and the frames certain enough for binding."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from mitds.errors import UsageError
from mitds.manifests.records import SpeechTurn
from mitds.manifests.truth_checks import entry_of, json_of, seconds, turn


def about_of(path: Path) -> Mapping[str, Any]:
    """Return what ``NAME.json`` says of a video; empty where there is no such file."""
    about = json_of(path)
    if about is not None and not isinstance(about, dict):
        raise UsageError("the truth is not a JSON object", where=str(path))
    return about or {}


def fps_of(about: Mapping[str, Any], path: Path) -> Fraction | None:
    """Return the rate that a json names; None where it names none."""
    if "fps" not in about:
        return None
    with entry_of(path, "fps"):
        fps = Fraction(str(about["fps"])).limit_denominator(1001)
        if fps <= 0:
            raise ValueError(f"{about['fps']!r} is not a rate")
        return fps


def count_of(about: Mapping[str, Any], key: str, path: Path) -> int | None:
    """Return a whole number above 0 that a json names; None where it names none."""
    if about.get(key) is None:
        return None
    with entry_of(path, key):
        count = seconds(about[key])
        if count < 1 or count != int(count):
            raise ValueError(f"{about[key]!r} is not a number of something")
        return int(count)


def duration_of(about: Mapping[str, Any], path: Path) -> float | None:
    """Return the length that a json names, seconds; None where it names none."""
    if about.get("duration") is None:
        return None
    with entry_of(path, "duration"):
        return seconds(about["duration"])


def lips_of(about: Mapping[str, Any], path: Path) -> tuple[SpeechTurn, ...]:
    """Return where silent lips move; in scenes whose listeners are muted talkers, that is throughout."""
    with entry_of(path, "moving_lips"):
        if "moving_lips" not in about and about.get("listen_mode") == "muted":
            return tuple(turn(str(p), 0.0, about["duration"]) for p in about.get("persons", {}))
        spans = about.get("moving_lips", ())
        return tuple(turn(span["person"], span["start"], span["end"]) for span in spans)


def bind_frames_of(path: Path) -> frozenset[int] | None:
    """Read ``NAME.bindframes.json``; None where there is no such file."""
    frames = json_of(path)
    if frames is None and not path.is_file():
        return None
    if not isinstance(frames, list) or any(type(f) is not int or f < 0 for f in frames):
        raise UsageError("the truth is not a list of frame numbers", where=str(path))
    return frozenset(frames)
