"""Opening containers, choosing tracks, and reading packets past damage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError
from av.stream import Disposition

from mitds.errors import NotVideo, SourceUnreachable, Undecodable

_STILL = ("image2", "jpeg_pipe", "png_pipe", "bmp_pipe", "webp_pipe", "tiff_pipe", "gif_pipe", "svg_pipe")
_FORMATS = (
    *("mov", "matroska", "webm", "avi", "mpegts", "mpeg", "mpegvideo", "m4v", "h264", "hevc", "obu", "ivf"),
    *("flv", "asf", "ogg", "mxf", "nut", "wtv", "dv", "rm", "gif", "apng", "yuv4mpegpipe", "vc1"),
    *("wav", "w64", "aiff", "caf", "mp3", "aac", "flac", "ac3", "eac3", "amr", "au", *_STILL),
)
"""Playlists and text formats stay out: what they name would be opened too (hls, concat, dash, sdp, tty)."""

_STILL_BRANDS = ("avif", "avis", "heic", "heix", "mif1", "msf1")
_NO_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
_CONTAINER_MARKS = {b"ftyp": "MP4", b"moov": "MP4", b"mdat": "MP4"}
# PyAV 19 never refuses a container for the encoding of its title; before, it had to be told so.
_LENIENT: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}
_MAX_DEMUX_ERRORS = 64
_MAX_FRUITLESS_PACKETS = 4096


@dataclass(slots=True)
class DecodeLog:
    """What went wrong, and what came out, while one track was decoded.

    Attributes:
        decoded: Pictures or sound blocks that came out.
        broken: Packets that did not decode and were skipped.
        concealed: Pictures that the decoder patched up itself.
        repaired_pts: Pictures without a time of their own, which got one from the decoding time or the rate.
        dropped: Pictures whose time did not lie after that of the one before.
        truncated: True where reading stopped before the container's end.
        end: Seconds at which the last picture stops being shown; None before any came out.
    """

    decoded: int = 0
    broken: int = 0
    concealed: int = 0
    repaired_pts: int = 0
    dropped: int = 0
    truncated: bool = False
    end: Fraction | None = None


def exact(ratio: Any) -> Fraction | None:
    """Turn libav's rationals (a type of their own from PyAV 19 on) into Fractions; unset ones into None."""
    if ratio is None or not ratio.denominator or not ratio.numerator:
        return None
    return Fraction(ratio.numerator, ratio.denominator)


def unit_of(timed: Any) -> Fraction:
    """Return the seconds of one tick of a frame, packet or track; a demuxed one always has it."""
    return Fraction(timed.time_base.numerator, timed.time_base.denominator)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a media file for reading.

    Raises:
        SourceUnreachable: There is no such file, or it may not be read.
        NotVideo: The bytes are no media container.
        Undecodable: They begin as one whose index is missing.
    """
    if not path.is_file():
        raise SourceUnreachable("there is no such file", where=str(path), remedy="Correct the path.")
    options = {"format_whitelist": ",".join(_FORMATS), "protocol_whitelist": "file"}
    try:
        # Without "file:", a colon in the name would be taken for a protocol.
        container = av.open(f"file:{path}", container_options=options, **_LENIENT)
    except PermissionError as error:
        raise SourceUnreachable(
            "the file may not be read", where=str(path), remedy="Change its mode."
        ) from error
    except FFmpegError as error:
        raise _unreadable(path) from error
    with container:
        yield container


def _unreadable(path: Path) -> NotVideo | Undecodable:
    with path.open("rb") as file:
        head = file.read(12)
    if not head:
        return NotVideo("the file is empty", where=str(path), remedy="Fetch it again.")
    kind = _CONTAINER_MARKS.get(head[4:8])
    if kind is None:
        return NotVideo(
            "the file is neither video nor sound",
            where=str(path),
            remedy="Give a video file; its name does not matter.",
        )
    return Undecodable(
        f"the file begins as {kind}, but the index of its pictures is missing: it was cut short",
        where=str(path),
        remedy="Fetch or copy it again.",
    )


def video_tracks(container: Any) -> list[Any]:
    """Return the tracks of moving pictures: cover art, thumbnails and stills are none."""
    return [s for s in container.streams.video if not s.disposition & _NO_PICTURES]


def video_track(container: Any, path: Path) -> Any:
    """Return the track to use: the first that is marked default, else the first.

    Raises:
        NotVideo: There is none, with what there is instead.
        Undecodable: There is one, in a codec that this build does not know.
    """
    where = str(path)
    brand = container.metadata.get("major_brand", "").strip()
    if container.format.name in _STILL or brand in _STILL_BRANDS:
        raise NotVideo("the file is a still image", where=where, remedy="Give a video.")
    tracks = video_tracks(container)
    if not tracks:
        raise NotVideo(_instead(container), where=where, remedy="Give a file with moving pictures.")
    track = next((t for t in tracks if t.disposition & Disposition.default), tracks[0])
    if track.codec_context is None:
        raise Undecodable(
            "the pictures are in an unknown codec", where=where, remedy="Re-encode it as H.264."
        )
    return track


def _instead(container: Any) -> str:
    sound = "sound only" if container.streams.audio else "neither pictures nor sound"
    if container.streams.video:
        return f"the file has a cover image, but no moving pictures: {sound}"
    return f"the file has {sound}"


def packets(container: Any, track: Any, log: DecodeLog) -> Iterator[Any]:
    """Yield the packets of a track, reading on past damage for as long as the demuxer finds something."""
    for _ in range(_MAX_DEMUX_ERRORS):
        try:
            yield from container.demux(track)
        except FFmpegError:
            log.broken += 1
        else:
            return
    log.truncated = True


def decoded(container: Any, track: Any, log: DecodeLog) -> Iterator[Any]:
    """Yield the decoded frames of a track in presentation order, skipping broken packets.

    A stream of which thousands of packets in a row give nothing is given up, so that time stays bounded.
    """
    fruitless = 0
    for packet in packets(container, track, log):
        try:
            frames = packet.decode()
        except FFmpegError:
            log.broken += 1
            frames = []
        fruitless = 0 if frames else fruitless + 1
        if fruitless > _MAX_FRUITLESS_PACKETS:
            log.truncated = True
            return
        yield from frames


def with_threads(track: Any, threads: int = 1) -> Any:
    """Return the track, its decoder set to a number of threads; only before its first packet."""
    track.codec_context.thread_count = threads
    track.codec_context.thread_type = "AUTO"
    return track
