"""Seals: the members of a clip's sample say that they belong together, so that swapped labels are noticed.

`KEY.json` holds the sha256 of every other member, `KEY.npz` holds the clip's key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from mitds.errors import BadShard
from mitds.manifests.codec import clip_arrays_to_npz, clip_key_of_npz, from_json, to_json
from mitds.manifests.records import Clip, ClipArrays


def sealed(clip: Clip, arrays: ClipArrays, media: Mapping[str, str]) -> dict[str, bytes]:
    """Serialise a clip's labels, bound to each other and to its media.

    Args:
        clip: The record as it stands at the end; seals that it has are replaced.
        arrays: Its arrays.
        media: sha256 (hex) by extension of the sample's media: "mp4", and "wav" where there is sound.

    Returns:
        The members "json" and "npz".
    """
    npz = clip_arrays_to_npz(arrays, clip.key)
    return {"json": resealed(clip, {**media, "npz": hashlib.sha256(npz).hexdigest()}), "npz": npz}


def resealed(clip: Clip, seals: Mapping[str, str]) -> bytes:
    """Serialise a record whose other members, sha256 by extension, stand already."""
    return to_json(replace(clip, seals=dict(sorted(seals.items())))).encode()


def broken(key: str, members: Mapping[str, bytes]) -> list[str]:
    """Return what does not belong together in a clip's sample, as sentences; empty where everything does.

    Args:
        key: Key of the sample.
        members: Bytes by extension. A sample that was written before seals is held to its key alone.
    """
    if missing := sorted({"json", "npz", "mp4"} - members.keys()):
        return [f"has no {', '.join(missing)}"]
    try:
        clip, owner = from_json(Clip, members["json"]), clip_key_of_npz(members["npz"])
    except BadShard as error:
        return [f"its labels cannot be read: {error.what}"]
    found = [f"its json is of clip {clip.key}"] if clip.key != key else []
    if owner not in ("", key):
        found.append(f"its npz is of clip {owner}")
    if owner and not clip.seals:
        found.append("its npz is sealed and its json is not")
    return found + (unlike(clip.seals, members) if clip.seals else [])


def unlike(seals: Mapping[str, str], members: Mapping[str, bytes]) -> list[str]:
    """Return which members are not those that a record was sealed with, as sentences.

    Args:
        seals: sha256 (hex) by extension, as the record has them.
        members: Bytes by extension; "json", the record itself, has no seal.
    """
    there = {ext: hashlib.sha256(data).hexdigest() for ext, data in members.items() if ext != "json"}
    found = [f"its {ext} is missing" for ext in sorted(seals.keys() - there.keys())]
    found += [f"its {ext} has no seal" for ext in sorted(there.keys() - seals.keys())]
    both = sorted(there.keys() & seals.keys())
    return found + [
        f"its {ext} is not the one its json was written for" for ext in both if there[ext] != seals[ext]
    ]
