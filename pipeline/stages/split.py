"""How a source becomes shots, in units of bounded size: what the stages probe, cuts and shots share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mitds.config import digest, require
from mitds.manifests.records import Probe, Shot, SourceSound
from mitds.pipeline.stages.items import check_encoding

GROUP_S = 300.0
"""Seconds of media that one job encodes."""

_USUAL_PIXELS_PER_S = 1920 * 1080 * 30
_LONGEST_S = 48 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitConfig:
    """How sources become shots.

    Attributes:
        detector: Name of the shot detector.
        max_shot_s: A longer shot is cut into pieces, so that all later work on it is bounded, s.
        crf: x264 quality of the shot files; 16 is close to transparent.
        preset: x264 speed.
        sound_rate: Sounds are kept at their own rate up to this, Hz.
    """

    detector: str = "pyscenedetect"
    max_shot_s: float = 120.0
    crf: int = 16
    preset: str = "veryfast"
    sound_rate: int = 48_000

    def __post_init__(self) -> None:
        """Refuse settings that x264 does not know, and shots too short to be annotated."""
        check_encoding(self.crf, self.preset)
        require(self.max_shot_s >= 1, "max_shot_s", self.max_shot_s, "at least 1")


def split_fingerprints(config: SplitConfig, weights: Mapping[str, str], code: str) -> dict[str, str]:
    """Return the fingerprint of each stage.

    Args:
        config: All settings.
        weights: sha256 by name of the detector's weights.
        code: Digest of the program.
    """
    cuts = digest(code, config.detector, config.max_shot_s, config.sound_rate, weights)
    return {"probe": digest(code), "cuts": cuts, "shots": digest(cuts, config.crf, config.preset)}


@dataclass(frozen=True, slots=True)
class CutsItem:
    """A source to be cut."""

    source_id: str
    path: Path
    audio_tracks: int


@dataclass(frozen=True, slots=True)
class CutsResult:
    """Where a source is cut; work folder: "cuts" SOURCE16.flac, where it has sound.

    Attributes:
        shots: In order, without gap or overlap.
        marks: What the pictures of each shot add up to (`mitds.media.stretches`).
        sound: None where the source has none.
        notes: Which sound track was taken, and what was damaged.
    """

    shots: tuple[Shot, ...]
    marks: tuple[int, ...]
    sound: SourceSound | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShotGroup:
    """Consecutive shots of a source, to be encoded by one job."""

    path: Path
    shots: tuple[Shot, ...]
    marks: tuple[int, ...]
    sound: SourceSound | None


@dataclass(frozen=True, slots=True)
class ShotsResult:
    """How many shots were encoded; work folder: "shots" KEY.mp4."""

    shots: int


def groups(cuts: CutsResult, path: Path) -> list[ShotGroup]:
    """Deal a source's shots into groups of about `GROUP_S`."""
    starts, begun = [0], 0.0
    for number, shot in enumerate(cuts.shots):
        seconds = float(shot.end - shot.start)
        if begun and begun + seconds > GROUP_S:
            starts, begun = [*starts, number], 0.0
        begun += seconds
    bounds = zip(starts, [*starts[1:], len(cuts.shots)], strict=True)
    return [ShotGroup(path, cuts.shots[a:b], cuts.marks[a:b], cuts.sound) for a, b in bounds]


def effort_s(probe: Probe, seconds: float) -> float:
    """Return for how many seconds of usual video (1080p, 30 fps) a stretch of a source counts, for deadlines."""
    pixels_per_s = probe.width * probe.height * float(probe.fps)
    return min(seconds, _LONGEST_S) * max(1.0, pixels_per_s / _USUAL_PIXELS_PER_S)


def group_effort_s(probe: Probe, group: Sequence[Shot]) -> float:
    """Return the same for a group of shots: a container that cannot seek is decoded up to them."""
    skipped_s = float(group[0].start - probe.start)
    return effort_s(probe, float(group[-1].end - group[0].start) + 0.05 * skipped_s)
