"""Records and arrays survive the way to bytes and back exactly, and foreign bytes are refused."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from mitds.errors import BadShard
from mitds.manifests import codec
from mitds.manifests.records import Clip, Shot, Source
from mitds.manifests.shards import Sample
from mitds.manifests.source_labels import from_sample, to_sample
from tests import factories


def assert_same(left: object, right: object) -> None:
    """Equality that looks into arrays: NaN equals NaN, and types must agree."""
    if isinstance(left, np.ndarray):
        assert isinstance(right, np.ndarray)
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)
    elif dataclasses.is_dataclass(left):
        assert type(left) is type(right)
        for f in dataclasses.fields(left):
            assert_same(getattr(left, f.name), getattr(right, f.name))
    elif isinstance(left, list | tuple):
        assert isinstance(right, type(left))
        assert len(left) == len(right)
        for a, b in zip(left, right, strict=True):
            assert_same(a, b)
    else:
        assert left == right
        assert type(left) is type(right)


@pytest.mark.parametrize(
    "record",
    [
        factories.clip(),
        factories.clip(persons=0, offscreen=(), scores={}, status="filtered", reasons=("too_short",)),
        factories.shot(0),
        factories.shot(1),
        factories.source(),
        factories.source(id=None, probe=None, title=None, status="failed", reason="unreachable"),
        factories.source(probe=factories.probe(fps=Fraction(30000, 1001), audio_codec=None, audio_rate=None)),
    ],
)
def test_records_round_trip_through_json(record: Any) -> None:
    text = codec.to_json(record)
    assert_same(codec.from_json(type(record), text), record)
    assert codec.to_json(codec.from_json(type(record), text)) == text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("frames", "50"),
        ("frames", True),
        ("frames", 2.5),
        ("start", 0.5),
        ("start", "1/0"),
        ("start", "soon"),
        ("status", "maybe"),
        ("persons", {}),
        ("persons", [{"track": 0}]),
        ("scores", {"speech_share": "high"}),
        ("rights", None),
        ("extra", 1),
    ],
)
def test_wrong_fields_are_named(field: str, value: Any) -> None:
    values = json.loads(codec.to_json(factories.clip())) | {field: value}
    with pytest.raises(BadShard, match=field):
        codec.from_json(Clip, json.dumps(values))


def test_missing_fields_are_named() -> None:
    values = json.loads(codec.to_json(factories.shot()))
    del values["detector"]
    with pytest.raises(BadShard, match="detector"):
        codec.from_json(Shot, json.dumps(values))


@pytest.mark.parametrize("text", ["", "[]", "nonsense", b"\xff\xfe"])
def test_other_text_is_refused(text: str | bytes) -> None:
    with pytest.raises(BadShard):
        codec.from_json(Source, text)


def test_arrays_round_trip_and_have_one_form() -> None:
    arrays = {
        "b": np.array([[1.5, np.nan], [np.inf, -0.0]], np.float32),
        "a": np.arange(3),
        "flag": np.array([True, False]),
        "none": np.zeros((0, 4), np.float32),
        "one": np.array(7),
        "turned": np.arange(6.0).reshape(2, 3).T,
    }
    data = codec.pack_arrays(arrays)
    back = codec.unpack_arrays(data)
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert_same(back[name], array)
    assert data == codec.pack_arrays(dict(reversed(arrays.items())))


def test_objects_are_never_unpickled() -> None:
    buffer = io.BytesIO()
    np.savez(buffer, evil=np.array([{"a": 1}], dtype=object))
    with pytest.raises(BadShard):
        codec.unpack_arrays(buffer.getvalue())
    with pytest.raises(ValueError, match="Object arrays"):
        codec.pack_arrays({"evil": np.array([{"a": 1}], dtype=object)})


def test_damaged_arrays_are_refused() -> None:
    data = bytearray(codec.pack_arrays({"a": np.arange(1000.0)}))
    for broken in (b"", b"PK", bytes(data[:-30]), bytes(data[:60]) + b"\0" * 40 + bytes(data[100:])):
        with pytest.raises(BadShard):
            codec.unpack_arrays(broken)


def test_a_zip_bomb_is_refused_before_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    data = codec.pack_arrays({"a": np.zeros(10_000)})
    assert len(data) < 1000
    monkeypatch.setattr(codec, "MAX_UNPACKED_BYTES", 10_000)
    with pytest.raises(BadShard, match="limit"):
        codec.unpack_arrays(data)


def test_other_zip_members_are_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(BadShard):
        codec.unpack_arrays(buffer.getvalue())


def test_clip_arrays_round_trip() -> None:
    arrays = factories.clip_arrays(factories.clip(persons=3))
    assert_same(codec.clip_arrays_from_npz(codec.clip_arrays_to_npz(arrays)), arrays)


def test_clip_arrays_must_agree() -> None:
    arrays = factories.clip_arrays(factories.clip())
    shorter = dataclasses.replace(arrays, speaking_NT=arrays.speaking_NT[:, :-1])
    with pytest.raises(BadShard, match="speaking_NT"):
        codec.clip_arrays_from_npz(codec.clip_arrays_to_npz(shorter))
    present = ("visible_NT", "face_xyxy_NT4", "face_score_NT", "speaking_NT")
    data = codec.pack_arrays({name: getattr(arrays, name) for name in present})
    with pytest.raises(BadShard, match="pose_NTK3"):
        codec.clip_arrays_from_npz(data)


def test_tracks_voices_and_scores_round_trip() -> None:
    tracks = [factories.face_track(n) for n in range(3)]
    assert tracks[1].embedding_D is None
    assert tracks[0].identity is None
    assert_same(codec.tracks_from_npz(codec.tracks_to_npz(tracks)), tracks)
    assert codec.tracks_from_npz(codec.tracks_to_npz([])) == []
    assert_same(codec.voices_from_npz(codec.voices_to_npz(factories.voices())), factories.voices())
    scores = [factories.speaking_scores(n) for n in range(2)]
    assert_same(codec.scores_from_npz(codec.scores_to_npz(scores)), scores)


def test_silence_round_trips() -> None:
    silent = dataclasses.replace(
        factories.voices(),
        voices=(),
        turns=(),
        activity_FV=np.zeros((40, 0), np.float32),
        embedding_VD=np.zeros((0, 192), np.float32),
    )
    assert_same(codec.voices_from_npz(codec.voices_to_npz(silent)), silent)


def test_source_labels_round_trip() -> None:
    labels = factories.source_labels()
    members = to_sample(labels)
    assert_same(from_sample(Sample(labels.key, members)), labels)
    about = json.loads(members["json"])
    assert about["tracks"][3] == {
        "first": 0, "identity": "P1", "npz": "s0001_t001", "shot": labels.shots[1].key, "track": 1,
    }  # fmt: skip


@pytest.mark.parametrize("change", [{"tracks": [{"shot": "elsewhere"}]}, {"tracks": None}, {"source": {}}])
def test_damaged_source_labels_are_refused(change: dict[str, Any]) -> None:
    members = to_sample(factories.source_labels())
    members["json"] = json.dumps(json.loads(members["json"]) | change).encode()
    with pytest.raises(BadShard):
        from_sample(Sample("k", members))
