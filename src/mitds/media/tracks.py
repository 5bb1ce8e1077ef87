"""Opening containers, choosing tracks, and reading packets past damage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal, Protocol

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
_OPTIONS = {"format_whitelist": ",".join(_FORMATS), "protocol_whitelist": ""}
"""What libav may read is the file that it is handed: none that this one names."""
# PyAV 19 never refuses a container for the encoding of its title; before, it had to be told so.
_LENIENT: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}
_ASSUMED_INTERVAL = Fraction(1, 25)
_LOOK_AHEAD, _REORDERED = 128, 16
"""Pictures among which the first stated time is looked for, and those after it among which pictures are reordered."""
MAX_PIXELS = 8192 * 8192
"""A forged header can ask for pictures that fill the memory."""
_MAX_DEMUX_ERRORS = 64
_MAX_FRUITLESS_PACKETS = 4096


class Footage(Protocol):
    """A media file: a `Path`, or whatever else opens as one does, such as a member of a shard."""

    def open(self, mode: Literal["rb"], /) -> IO[bytes]:
        """Open it, binary and seekable; several may be open at once."""


@dataclass(slots=True)
class DecodeLog:
    """What went wrong, and what came out, while one track was decoded.

    Attributes:
        decoded: Pictures or sound blocks that came out.
        broken: Packets that did not decode and were skipped.
        concealed: Pictures that the decoder patched up itself.
        repaired_pts: Pictures without a time of their own, which got one from the decoding time or the rate.
        counted: True where the container has no presentation times, so that pictures are timed by their number.
        dropped: Pictures whose time did not lie after that of the one before.
        truncated: True where reading stopped before the container's end.
        end: Seconds at which the last picture stops being shown; None before any came out.
        tone: Coding of high dynamic range, "PQ" or "HLG", which is not undone: such pictures look flat and dim.
    """

    decoded: int = 0
    broken: int = 0
    concealed: int = 0
    repaired_pts: int = 0
    counted: bool = False
    dropped: int = 0
    truncated: bool = False
    end: Fraction | None = None
    tone: str = ""


def exact(ratio: Any) -> Fraction | None:
    """Turn libav's rationals (a type of their own from PyAV 19 on) into Fractions; unset ones into None."""
    if ratio is None or not ratio.denominator or not ratio.numerator:
        return None
    return Fraction(ratio.numerator, ratio.denominator)


def unit_of(timed: Any) -> Fraction:
    """Return the seconds of one tick of a frame, packet or track; a demuxed one always has it."""
    return Fraction(timed.time_base.numerator, timed.time_base.denominator)


@contextmanager
def opened(footage: Footage) -> Iterator[Any]:
    """Open a media file for reading.

    Raises:
        SourceUnreachable: There is no such file, or it may not be read.
        NotVideo: The bytes are no media container.
        Undecodable: They begin as one whose index is missing.
    """
    with _file(footage) as file:
        head = file.read(12)
        if not head:
            raise NotVideo("the file is empty", where=str(footage), remedy="Fetch it again.")
        file.seek(0)
        try:
            container = av.open(file, container_options=_OPTIONS, **_LENIENT)
        except FFmpegError as error:
            raise _unreadable(footage, head) from error
        with container:
            yield container


def _file(footage: Footage) -> IO[bytes]:
    where = str(footage)
    try:
        if isinstance(footage, Path) and not footage.is_file():
            raise FileNotFoundError(
                where
            )  # a named pipe would not let itself be opened before somebody wrote
        return footage.open("rb")
    except FileNotFoundError as error:
        raise SourceUnreachable("there is no such file", where=where, remedy="Correct the path.") from error
    except PermissionError as error:
        raise SourceUnreachable("the file may not be read", where=where, remedy="Change its mode.") from error


def _unreadable(footage: Footage, head: bytes) -> NotVideo | Undecodable:
    kind = _CONTAINER_MARKS.get(head[4:8])
    if kind is None:
        return NotVideo(
            "the file is neither video nor sound",
            where=str(footage),
            remedy="Give a video file; its name does not matter.",
        )
    return Undecodable(
        f"the file begins as {kind}, but the index of its pictures is missing: it was cut short",
        where=str(footage),
        remedy="Fetch or copy it again.",
    )


def video_tracks(container: Any) -> list[Any]:
    """Return the tracks of moving pictures: cover art, thumbnails and stills are none."""
    return [s for s in container.streams.video if not s.disposition & _NO_PICTURES]


def video_track(container: Any, footage: Footage) -> Any:
    """Return the track to use: the first that is marked default, else the first.

    Raises:
        NotVideo: There is none, with what there is instead.
        Undecodable: There is one, in a codec that this build does not know.
    """
    where = str(footage)
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
    if track.width * track.height > MAX_PIXELS:
        raise Undecodable(
            f"pictures of {track.width}x{track.height} are larger than any camera's",
            where=where,
            remedy="Scale it down to 8192x8192 or less.",
        )
    return track


def _instead(container: Any) -> str:
    sound = "sound only" if container.streams.audio else "neither pictures nor sound"
    if container.streams.video:
        return f"the file has a cover image, but no moving pictures: {sound}"
    return f"the file has {sound}"


def interval_of(track: Any) -> Fraction:
    """Return the usual time between two pictures, s; 1/25 where the container does not say."""
    rate = exact(track.average_rate)
    return 1 / rate if rate else _ASSUMED_INTERVAL


def untimed_start(footage: Footage, interval: Fraction) -> Fraction:
    """Return the time of a first picture that has none, as where a container cannot state times below 0.

    It lies before the first time that is stated by as many intervals as pictures without one come first.
    """
    with opened(footage) as container:
        track = video_track(container, footage)
        untimed, stated = 0, []
        for packet in islice(packets(container, track, DecodeLog()), _LOOK_AHEAD):
            if packet.pts is not None:
                stated.append(packet.pts * unit_of(track))
            elif packet.size:
                untimed += 1
            if len(stated) == _REORDERED:
                break
        return min(stated) - untimed * interval if stated else Fraction(0)


def counts_pictures(container: Any) -> bool:
    """Say whether the container has no presentation times: its n-th picture is shown at the n-th tick.

    What libav gives as presentation times there is made up, and false where pictures are reordered.
    """
    return bool(container.format.name == "avi")


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
