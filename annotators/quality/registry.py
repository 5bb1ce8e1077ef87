"""The measures a curator may ask for, by name: their scores, and the weights they need. Nothing is imported here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mitds.registry import Registry

if TYPE_CHECKING:
    from mitds.annotators.quality.contracts import PictureMeter

PICTURE: Registry[Callable[[], PictureMeter]] = Registry(
    "picture measure",
    {
        "camera": "mitds.annotators.quality.camera:CameraMeter",
        "stills": "mitds.annotators.quality.stills:StillsMeter",
        "blur": "mitds.annotators.quality.blur:BlurMeter",
        "exposure": "mitds.annotators.quality.exposure:ExposureMeter",
        "text": "mitds.annotators.quality.text:TextMeter",
    },
)

SCORES: dict[str, tuple[str, ...]] = {
    "camera": ("camera_motion", "camera_pan", "camera_shake", "camera_zoom"),
    "stills": ("still_share", "still_face_share"),
    "blur": ("face_sharpness", "frame_sharpness"),
    "exposure": ("dark_share", "bright_share", "highlights", "contrast", "face_contrast", "border_share"),
    "text": ("text_share", "text_area"),
    "sound": (
        "music_share",
        "singing_share",
        "clipped_share",
        "level_db",
        "snr_db",
        "noise_db",
        "dnsmos_sig",
        "dnsmos_bak",
        "dnsmos_ovr",
    ),
    "dubbing": ("voiceover_share", "extra_voice_share", "foreign_voice_share"),
    "synchrony": ("sync_steadiness", "sync_lag_s"),
    "duplicates": ("duplicate_share", "duplicate_picture", "duplicate_sound"),
}
"""The scores each measure gives; one that cannot be had for a clip is left out there."""

DEFAULT = tuple(name for name in SCORES if name != "synchrony")
"""The measures that are taken unless others are chosen; `synchrony` runs a network on every frame."""

POSE_SCORES = ("hand_on_face", "face_overlap", "face_lost", "face_occlusion", "hand_occlusion")
"""The scores that are told from poses, whatever the measures."""

WEIGHTS: dict[str, tuple[str, ...]] = {
    "text": ("quality.text",),
    "sound": ("sound.events", "sound.dnsmos"),
    "synchrony": ("asd.lr_asd",),
}
"""The catalogued weights of the measures that need any."""
