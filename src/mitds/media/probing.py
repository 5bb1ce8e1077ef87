"""What a video file is: its container's word, checked against packets and the first decoded picture."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

from mitds.manifests.records import Probe
from mitds.media.pictures import undecodable
from mitds.media.rgb import Geometry
from mitds.media.tracks import (
    DecodeLog,
    Footage,
    counts_pictures,
    decoded,
    exact,
    interval_of,
    opened,
    packets,
    unit_of,
    untimed_start,
    video_track,
    video_tracks,
    with_threads,
)

_ROUNDING = Fraction(3, 2000)
"""Intervals may differ by this much, s, in a container that counts milliseconds."""

_COARSE_UNIT = Fraction(1, 200)
"""A clock that ticks more slowly than this counts pictures: there a tick is no rounding."""

_SAME_RATE = Fraction(1, 1000)


@dataclass(frozen=True, slots=True)
class _Timing:
    start: Fraction
    duration: Fraction
    fps: Fraction
    vfr: bool


def probe(footage: Footage) -> Probe:
    """Examine a video: decode its first picture, and read the times of all its packets.

    Raises:
        SourceUnreachable: There is no such file.
        NotVideo: Empty, text, a still image, sound only, or sound with a cover.
        Undecodable: A picture track is there, but nothing of it decodes.
    """
    with opened(footage) as container:
        track = with_threads(video_track(container, footage))
        log = DecodeLog()
        first = next(decoded(container, track, log), None)
        if first is None:
            raise undecodable(footage, log)
        return _probe(footage, container, track, first)


def _probe(footage: Footage, container: Any, track: Any, first: Any) -> Probe:
    geometry, timing = Geometry.of(first, track), _timing(footage, first)
    width, height = geometry.upright
    return Probe(
        container=container.format.name,
        start=timing.start,
        duration=timing.duration,
        fps=timing.fps,
        vfr=timing.vfr,
        width=width,
        height=height,
        rotation=geometry.rotation,
        sample_aspect=geometry.aspect,
        interlaced=first.interlaced_frame,
        video_codec=track.codec_context.codec.canonical_name,
        pixel_format=first.format.name,
        video_tracks=len(video_tracks(container)),
        **_sound_of(container),
    )


def _sound_of(container: Any) -> dict[str, Any]:
    tracks = container.streams.audio
    if not tracks:
        return dict(audio_codec=None, audio_rate=None, audio_channels=None, audio_tracks=0)
    codec = tracks[0].codec_context
    return dict(
        audio_codec=codec.codec.canonical_name if codec else "unknown",
        audio_rate=codec.sample_rate or None if codec else None,
        audio_channels=codec.layout.nb_channels or None if codec else None,
        audio_tracks=len(tracks),
    )


def _timing(footage: Footage, first: Any) -> _Timing:
    """Read the packets' times without decoding them, from the first picture that decodes on."""
    with opened(footage) as container:
        track = video_track(container, footage)
        unit, counted = unit_of(track), counts_pictures(container)
        start = (track.start_time or 0) * unit if counted else _start(footage, track, first)
        shown: dict[int, int] = {}
        for packet in packets(container, track, DecodeLog()):
            ticks = packet.dts if counted or packet.pts is None else packet.pts
            if ticks is None or not packet.size or packet.is_discard or ticks * unit < start:
                continue
            shown[ticks] = packet.duration or 0
        return _summary(sorted(shown), unit, start, shown[max(shown)] * unit if shown else Fraction(0), track)


def _start(footage: Footage, track: Any, first: Any) -> Fraction:
    ticks = first.pts if first.pts is not None else first.dts
    return untimed_start(footage, interval_of(track)) if ticks is None else int(ticks) * unit_of(first)


def _summary(ticks: list[int], unit: Fraction, start: Fraction, last_shown: Fraction, track: Any) -> _Timing:
    stated = exact(track.average_rate)
    intervals = [b - a for a, b in pairwise(ticks)]
    usual = (
        Fraction(sum(intervals), len(intervals)) * unit
        if intervals
        else last_shown or 1 / (stated or Fraction(25))
    )
    duration = (ticks[-1] * unit - start if ticks else Fraction(0)) + (last_shown or usual)
    allowed = max(_ROUNDING, unit if unit < _COARSE_UNIT else Fraction(0))
    vfr = bool(intervals) and (max(intervals) - min(intervals)) * unit > allowed
    fps = 1 / usual
    if stated and not vfr and abs(stated - fps) <= _SAME_RATE * fps:
        fps = stated
    return _Timing(start, duration, fps.limit_denominator(100_000), vfr)
