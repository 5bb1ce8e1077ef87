"""Members of a clip's sample are bound to each other: whatever is swapped is noticed, and old samples still read."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from mitds.errors import BadShard
from mitds.manifests import codec
from mitds.manifests.dataset import clip_from_sample
from mitds.manifests.records import Clip, Provenance
from mitds.manifests.seal import broken, sealed
from mitds.manifests.shards import Sample
from tests import factories

MEDIA = {"mp4": b"pictures", "wav": b"sound"}


def sample(number: int, **changes: bytes) -> dict[str, bytes]:
    clip = factories.clip(number, frames=5)
    media = {ext: data + bytes([number]) for ext, data in MEDIA.items()}
    digests = {ext: hashlib.sha256(data).hexdigest() for ext, data in media.items()}
    return {**media, **sealed(clip, factories.clip_arrays(clip), digests), **changes}


def key(number: int) -> str:
    return factories.clip(number).key


def test_what_was_sealed_belongs_together_and_reads_back() -> None:
    members = sample(1)
    assert broken(key(1), members) == []
    loaded = clip_from_sample(Sample(key(1), members))
    assert set(loaded.clip.seals) == {"mp4", "wav", "npz"}
    np.testing.assert_array_equal(loaded.arrays.pts_T, np.arange(5) / 25)
    assert sample(1) == members, "the same clip gives the same bytes"


@pytest.mark.parametrize(
    ("ext", "words"),
    [
        ("json", "its json is of clip"),
        ("npz", "its npz is of clip"),
        ("mp4", "its mp4 is not the one"),
        ("wav", "its wav is not the one"),
    ],
)
def test_a_member_of_another_clip_is_noticed(ext: str, words: str) -> None:
    members = sample(1) | {ext: sample(2)[ext]}
    assert any(words in found for found in broken(key(1), members))


def test_labels_moved_together_to_other_pictures_are_noticed() -> None:
    labels = {ext: sample(2)[ext] for ext in ("json", "npz")}
    record = json.loads(labels["json"]) | {"key": key(1)}
    forged = sample(1) | labels | {"json": json.dumps(record).encode()}
    found = broken(key(1), forged)
    assert [f for f in found if "its npz is of clip" in f]
    assert [f for f in found if "its mp4 is not the one" in f]


def test_missing_and_unknown_members_are_noticed() -> None:
    members = sample(1)
    assert broken(key(1), {k: v for k, v in members.items() if k != "wav"}) == ["its wav is missing"]
    assert broken(key(1), {**members, "txt": b"x"}) == ["its txt has no seal"]
    assert broken(key(1), {k: v for k, v in members.items() if k != "npz"}) == ["has no npz"]
    assert "cannot be read" in broken(key(1), {**members, "npz": b"no"})[0]


def test_a_json_from_before_seals_beside_a_sealed_npz_is_noticed() -> None:
    old = codec.to_json(factories.clip(1, frames=5)).encode()
    assert broken(key(1), sample(1, json=old)) == ["its npz is sealed and its json is not"]


def test_samples_from_before_seals_read_and_are_held_to_their_key() -> None:
    clip = factories.clip(1, frames=5)
    record = json.loads(codec.to_json(clip))
    del record["seals"], record["provenance"]
    old = {"mp4": b"x", "json": json.dumps(record).encode()}
    old["npz"] = codec.clip_arrays_to_npz(factories.clip_arrays(clip))
    assert codec.from_json(Clip, old["json"]) == clip
    assert broken(clip.key, old) == []
    assert broken(key(2), old) == [f"its json is of clip {clip.key}"]


def test_provenance_travels_in_the_record() -> None:
    made = Provenance(fetched_at=None, notes=("noai",), tool="mitds 1", libraries={"av": "1"})
    clip = replace(factories.clip(), provenance=made)
    assert codec.from_json(Clip, codec.to_json(clip)) == clip


def test_a_key_that_is_no_text_is_refused() -> None:
    arrays = codec.unpack_arrays(sample(1)["npz"]) | {"clip": np.array([255], np.uint8)}
    with pytest.raises(BadShard, match="not text"):
        codec.clip_key_of_npz(codec.pack_arrays(arrays))
