"""What runs inside an isolated process: one submitted video, decoded whole and compared with its item."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from mitds.benchmark.footage import Shape, read_footage
from mitds.benchmark.release.read import OpenRelease, open_release
from mitds.benchmark.submission.boxes import Odd, check_boxes
from mitds.benchmark.submission.likeness import sound_agreement, unfollowed
from mitds.errors import InputFault
from mitds.manifests.records import Array
from mitds.media.sound import read_sound
from mitds.time import CLIP_FPS

PICTURES = frozenset({"h264", "hevc", "vp9", "av1", "libdav1d"})
SOUNDS = frozenset({"aac", "opus", "libopus", "mp3", "mp3float", "flac", "alac"})
_HEAD = 12


class NotAccepted(InputFault):
    """The container holds something else than one picture track and at most one sound track, shown as stored."""

    code = "not_accepted"


class CodecNotAccepted(InputFault):
    """A track is in a codec that is not on the list."""

    code = "codec_not_accepted"


@cache
def _release(path: str) -> OpenRelease:
    return open_release(path)


def inspect(job: dict[str, Any]) -> dict[str, Any]:
    """Decode a video and compare it with its item.

    Args:
        job: "release" and "item"; "path", "offset" and "size": where the video's bytes lie; "scratch": a file of
            its own, which is made and removed.

    Returns:
        "pixels": digest of the pictures; "sound": correlation with the given sound and lag in seconds, None where
        there is no sound track; "wrong": see `unfollowed`.

    Raises:
        NotAccepted: If it is no MP4 of the tracks that are accepted.
        CodecNotAccepted: If a track is in another codec.
        Undecodable: If it does not decode.
        WrongShape: If its pictures are not those asked for.
    """
    scratch = Path(job["scratch"])
    scratch.write_bytes(_bytes(job))
    try:
        check_tracks(scratch)
        return _compared(job, scratch)
    finally:
        scratch.unlink(missing_ok=True)


def _bytes(job: dict[str, Any]) -> bytes:
    with Path(job["path"]).open("rb") as file:
        file.seek(job["offset"])
        return file.read(job["size"])


def check_tracks(path: Path) -> bool:
    """Look at a file's tracks with the MP4 reader and no other: a playlist, whatever its name, is not followed.

    Returns:
        True where there is a sound track.

    Raises:
        NotAccepted: If it is no MP4 of one picture track and at most one sound track, or not every player would show
            the pictures that are stored, as they are stored.
        CodecNotAccepted: If a track is in another codec.
    """
    import av

    with path.open("rb") as file:
        if file.read(_HEAD)[4:8] != b"ftyp":
            raise NotAccepted("it does not begin as an MP4")
    options = {"protocol_whitelist": "file", "enable_drefs": "0"}
    try:
        with av.open(f"file:{path}", format="mp4", container_options=options) as container:
            kinds = sorted(stream.type for stream in container.streams)
            codecs = {
                s.type: s.codec_context.name if s.codec_context else "unknown" for s in container.streams
            }
            square = all(_square(stream) for stream in container.streams.video)
    except (av.error.FFmpegError, ValueError) as error:
        raise NotAccepted(f"it cannot be read as an MP4: {error}") from error
    if kinds not in (["video"], ["audio", "video"]):
        raise NotAccepted(f"its tracks are: {', '.join(kinds) or 'none'}")
    if codecs["video"] not in PICTURES or codecs.get("audio", "aac") not in SOUNDS:
        raise CodecNotAccepted(f"its tracks are in {', '.join(codecs.values())}")
    if not square:
        raise NotAccepted("its pixels are not square")
    try:
        with path.open("rb") as file:
            check_boxes(file)
    except Odd as error:
        raise NotAccepted(str(error)) from error
    return "audio" in codecs


def _square(stream: Any) -> bool:
    """True where neither the container nor the codec stretches pixels; 0 and None stand for what is not said."""
    said = (stream.sample_aspect_ratio, stream.codec_context and stream.codec_context.sample_aspect_ratio)
    return all(not aspect or aspect == 1 for aspect in said)


def pixels(job: dict[str, Any]) -> dict[str, Any]:
    """Return the digest of a video's pictures, for videos that were accepted before; see `inspect`."""
    scratch = Path(job["scratch"])
    scratch.write_bytes(_bytes(job))
    try:
        check_tracks(scratch)
        item = _release(job["release"]).item(job["item"])
        return {"pixels": read_footage(scratch, Shape(item.frames, item.width, item.height)).digest}
    finally:
        scratch.unlink(missing_ok=True)


def _compared(job: dict[str, Any], path: Path) -> dict[str, Any]:
    release = _release(job["release"])
    item = release.item(job["item"])
    footage = read_footage(path, Shape(item.frames, item.width, item.height))
    sound = read_sound(path)
    scene = release.scene(item.id)
    return {
        "pixels": footage.digest,
        "sound": None if sound is None else sound_agreement(_given(scene.real.wave_S), _from_zero(sound, item.frames)),
        "wrong": unfollowed(scene.real.frames_THWC, footage.frames_THWC, item.reference_frame),
    }  # fmt: skip


def _given(wave_S: Array | None) -> Array:
    if wave_S is None:
        raise ValueError("the scene of a release carries its sound")
    return wave_S


def _from_zero(sound: Any, frames: int) -> Array:
    """Return the track's first second-and-so-many frames, 16 kHz mono, with 0.1 s more than the pictures last."""
    wave_S: Array = sound.part(Fraction(0), Fraction(frames) / CLIP_FPS + Fraction(1, 10)).mono()
    return wave_S
