"""Records to JSON and arrays to npz, and back, exactly; nothing read here can run code."""

from __future__ import annotations

import io
import json
import re
import types
import typing
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from fractions import Fraction
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mitds.config import canonical, plain
from mitds.errors import BadShard
from mitds.manifests.records import ClipArrays, FaceTrack, SpeakingScores, SpeechTurn, Voices

R = TypeVar("R")
Arrays = dict[str, NDArray[Any]]

MAX_UNPACKED_BYTES = 8 << 30
_DAMAGE = (
    *(ValueError, KeyError, OSError, EOFError, SyntaxError, ArithmeticError, MemoryError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What numpy and zipfile raise of bytes that are no arrays."""
_RATIONAL = re.compile(r"-?[0-9]{1,40}(/0*[1-9][0-9]{0,39})?")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_KEYPOINTS = 133
_META = "meta"
_CLIP = "clip"


# ---- JSON


def to_json(record: object) -> str:
    """Serialise a record to its one canonical JSON text; rationals become "num/den"."""
    return canonical(record)


def from_json(cls: type[R], text: str | bytes) -> R:
    """Read a record back.

    Raises:
        BadShard: If the text is not JSON, or a field is missing, unknown or of another type.
    """
    try:
        return from_plain(cls, json.loads(text))
    except (ValueError, RecursionError) as error:
        raise BadShard(f"not a {cls.__name__} in JSON: {error}") from error


def from_plain(cls: type[R], value: Any) -> R:
    """Build a record from parsed JSON, strictly: unknown, missing and mistyped fields are errors.

    Raises:
        BadShard: Naming the field.
    """
    return typing.cast(R, _decode(value, cls, getattr(cls, "__name__", str(cls))))


@cache
def _fields(cls: type) -> tuple[dict[str, Any], frozenset[str]]:
    hints = typing.get_type_hints(cls)
    needed = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]
    return {f.name: hints[f.name] for f in fields(cls)}, frozenset(needed)


def _decode(value: Any, hint: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType or origin is typing.Union:
        inner = next(a for a in args if a is not type(None))
        return None if value is None else _decode(value, inner, where)
    if is_dataclass(hint) and isinstance(value, dict):
        return _decode_record(value, typing.cast(type, hint), where)
    if origin is tuple and isinstance(value, list):
        return tuple(_decode(v, args[0], f"{where}[{i}]") for i, v in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {k: _decode(v, args[1], f"{where}.{k}") for k, v in value.items()}
    if origin is typing.Literal and value in args:
        return value
    return _decode_plain(value, hint, where)


def _decode_plain(value: Any, hint: Any, where: str) -> Any:
    if hint is Any:
        return value
    if hint is Fraction and isinstance(value, str):
        if not _RATIONAL.fullmatch(value):  # "1e999999999" would be one, and never end
            raise BadShard(f"{where} is {value!r:.80}, not a rational number")
        return Fraction(value)
    if hint is float and type(value) in (int, float):
        return float(value)
    if type(value) is not hint:
        raise BadShard(f"{where} must be {getattr(hint, '__name__', hint)}, got {value!r:.80}")
    return value


def _decode_record(value: dict[str, Any], cls: type, where: str) -> Any:
    hints, needed = _fields(cls)
    wrong = sorted(needed - value.keys()) + sorted(value.keys() - hints.keys())
    if wrong:
        raise BadShard(f"{where} has missing or unknown fields: {', '.join(wrong)}")
    return cls(**{k: _decode(v, hints[k], f"{where}.{k}") for k, v in value.items()})


# ---- npz


def pack_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Pack arrays into a compressed npz whose bytes depend on nothing but names and values."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, array in sorted(arrays.items()):
            info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            info.compress_type, info.create_system = zipfile.ZIP_DEFLATED, 3
            with archive.open(info, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def unpack_arrays(data: bytes) -> Arrays:
    """Read an npz without ever unpickling.

    Raises:
        BadShard: If it is damaged, would unpack to more than `MAX_UNPACKED_BYTES`, or holds objects.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_UNPACKED_BYTES:
                raise BadShard("arrays unpack to more than the size limit")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {name: _as_array(arrays[name]) for name in arrays.files}
    except _DAMAGE as error:
        raise BadShard(f"not readable arrays (npz): {error}") from error


def _as_array(value: Any) -> NDArray[Any]:
    if not isinstance(value, np.ndarray):
        raise ValueError("a member is not an array")
    return value


def pack(meta: object, arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Pack arrays together with JSON-ready values, kept as the bytes of their text in one more array."""
    return pack_arrays({**arrays, _META: np.frombuffer(canonical(meta).encode(), np.uint8)})


def unpack(data: bytes) -> tuple[Any, Arrays]:
    """Read what `pack` wrote: the values and the arrays."""
    arrays = unpack_arrays(data)
    try:
        return json.loads(arrays.pop(_META).tobytes()), arrays
    except (KeyError, ValueError) as error:
        raise BadShard("arrays (npz) lack their description") from error


def take(
    arrays: Arrays, name: str, shape: Sequence[int], dtype: type[np.generic] = np.float32
) -> NDArray[Any]:
    """Return one array after checking it.

    Args:
        arrays: What `unpack_arrays` read.
        name: Which one.
        shape: Expected lengths; -1 fits any.
        dtype: Expected element type.

    Raises:
        BadShard: If it is missing or of another shape or type.
    """
    if name not in arrays:
        raise BadShard(f"array {name!r} is missing")
    array = arrays[name]
    fits = array.ndim == len(shape) and all(w in (-1, n) for w, n in zip(shape, array.shape, strict=True))
    if not fits or array.dtype != dtype:
        raise BadShard(f"array {name!r} is {array.dtype}{array.shape}, not {np.dtype(dtype)}{tuple(shape)}")
    return array


# ---- records that hold arrays


def clip_arrays_to_npz(arrays: ClipArrays, key: str = "") -> bytes:
    """Pack the arrays of one clip under their field names, and its key, where given, as one more ("clip")."""
    packed: Arrays = {f.name: getattr(arrays, f.name) for f in fields(ClipArrays)}
    return pack_arrays(packed | ({_CLIP: np.frombuffer(key.encode("ascii"), np.uint8)} if key else {}))


def clip_key_of_npz(data: bytes) -> str:
    """Return the key of the clip whose arrays these are; empty where it was not written.

    Raises:
        BadShard: If the arrays cannot be read, or their key is none.
    """
    arrays = unpack_arrays(data)
    try:
        return take(arrays, _CLIP, (-1,), np.uint8).tobytes().decode("ascii") if _CLIP in arrays else ""
    except UnicodeDecodeError as error:
        raise BadShard("the clip's key in the arrays is not text") from error


def clip_arrays_from_npz(data: bytes) -> ClipArrays:
    """Read the arrays of one clip.

    Raises:
        BadShard: If an array is missing, or they disagree about N or T.
    """
    arrays = unpack_arrays(data)
    persons, frames = take(arrays, "visible_NT", (-1, -1), np.bool_).shape
    return ClipArrays(
        face_xyxy_NT4=take(arrays, "face_xyxy_NT4", (persons, frames, 4)),
        face_score_NT=take(arrays, "face_score_NT", (persons, frames)),
        speaking_NT=take(arrays, "speaking_NT", (persons, frames)),
        pose_NTK3=take(arrays, "pose_NTK3", (persons, frames, _KEYPOINTS, 3)),
        visible_NT=arrays["visible_NT"],
        pts_T=take(arrays, "pts_T", (frames,), np.float64),
    )


def tracks_to_npz(tracks: Sequence[FaceTrack]) -> bytes:
    """Pack the face tracks of one shot, in order."""
    meta = [{"track": t.track, "first": t.first, "identity": t.identity} for t in tracks]
    arrays: Arrays = {}
    for i, track in enumerate(tracks):
        arrays[f"t{i:04d}_xyxy_T4"] = track.xyxy_T4
        arrays[f"t{i:04d}_score_T"] = track.score_T
        arrays[f"t{i:04d}_landmarks_T52"] = track.landmarks_T52
        arrays[f"t{i:04d}_detected_T"] = track.detected_T
        if track.embedding_D is not None:
            arrays[f"t{i:04d}_embedding_D"] = track.embedding_D
    return pack(meta, arrays)


def tracks_from_npz(data: bytes) -> list[FaceTrack]:
    """Read the face tracks of one shot."""
    meta, arrays = unpack(data)
    return [_track(arrays, f"t{i:04d}_", **about) for i, about in enumerate(meta)]


def _track(arrays: Arrays, prefix: str, *, track: int, first: int, identity: str | None) -> FaceTrack:
    (count,) = take(arrays, prefix + "score_T", (-1,)).shape
    known = prefix + "embedding_D" in arrays
    return FaceTrack(
        track=track,
        first=first,
        xyxy_T4=take(arrays, prefix + "xyxy_T4", (count, 4)),
        score_T=arrays[prefix + "score_T"],
        landmarks_T52=take(arrays, prefix + "landmarks_T52", (count, 5, 2)),
        detected_T=take(arrays, prefix + "detected_T", (count,), np.bool_),
        embedding_D=take(arrays, prefix + "embedding_D", (-1,)) if known else None,
        identity=identity,
    )


def voices_to_npz(voices: Voices) -> bytes:
    """Pack the voices of one source."""
    meta = {name: plain(getattr(voices, name)) for name in ("voices", "turns", "hop_s", "model")}
    names = ("activity_FV", "speech_F", "embedding_VD", "overlap_F")
    arrays = {name: getattr(voices, name) for name in names}
    return pack(meta, {name: array for name, array in arrays.items() if array is not None})


def voices_from_npz(data: bytes) -> Voices:
    """Read the voices of one source."""
    meta, arrays = unpack(data)
    voices = tuple(meta["voices"])
    (steps,) = take(arrays, "speech_F", (-1,)).shape
    return Voices(
        voices=voices,
        turns=tuple(from_plain(SpeechTurn, turn) for turn in meta["turns"]),
        activity_FV=take(arrays, "activity_FV", (steps, len(voices))),
        speech_F=arrays["speech_F"],
        hop_s=meta["hop_s"],
        embedding_VD=take(arrays, "embedding_VD", (len(voices), -1)),
        model=meta["model"],
        overlap_F=take(arrays, "overlap_F", (steps,)) if "overlap_F" in arrays else None,
    )


def scores_to_npz(scores: Sequence[SpeakingScores]) -> bytes:
    """Pack the speaking scores of one shot's tracks, in order."""
    arrays: Arrays = {}
    for i, score in enumerate(scores):
        arrays[f"t{i:04d}_logit_T"] = score.logit_T
        arrays[f"t{i:04d}_probability_T"] = score.probability_T
    return pack([{"track": s.track, "model": s.model} for s in scores], arrays)


def scores_from_npz(data: bytes) -> list[SpeakingScores]:
    """Read the speaking scores of one shot's tracks."""
    meta, arrays = unpack(data)
    return [
        SpeakingScores(
            track=about["track"],
            logit_T=take(arrays, f"t{i:04d}_logit_T", (-1,)),
            probability_T=take(arrays, f"t{i:04d}_probability_T", (-1,)),
            model=about["model"],
        )
        for i, about in enumerate(meta)
    ]
