"""The curator's rules: limits on what was measured of a clip, all off until they are set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from mitds.config import require
from mitds.manifests.records import Clip

_RULES = {
    "max_camera_motion": ("camera_moves", "the camera moves too much"),
    "max_camera_shake": ("camera_shakes", "the camera shakes too much"),
    "max_camera_zoom": ("camera_zooms", "the camera zooms too fast"),
    "max_still_share": ("still_picture", "the picture stands still, or is a photograph"),
    "max_still_face_share": ("still_face", "a face stands still like a photograph"),
    "min_face_sharpness": ("blurred_face", "a face is blurred"),
    "min_frame_sharpness": ("blurred_picture", "the picture is blurred"),
    "max_dark_share": ("too_dark", "too much of the picture is black"),
    "max_bright_share": ("too_bright", "too much of the picture is white"),
    "min_highlights": ("little_light", "the picture is too dark"),
    "min_contrast": ("low_contrast", "the picture has too little contrast"),
    "min_face_contrast": ("flat_face", "a face has too little contrast"),
    "max_border_share": ("black_bars", "black bars take too much of the picture"),
    "max_text_share": ("text", "text is in view for too much of the time"),
    "max_text_area": ("much_text", "text covers too much of the picture"),
    "max_hand_on_face": ("hand_on_face", "a hand covers a face for too long"),
    "max_face_overlap": ("face_behind_face", "a face is behind another for too long"),
    "max_face_occlusion": ("covered_face", "a face is covered, turned away or out of view for too long"),
    "max_hand_occlusion": ("covered_hand", "a hand is out of sight for too long"),
    "max_music_share": ("music", "music is heard for too long"),
    "max_singing_share": ("singing", "singing is heard for too long"),
    "max_clipped_share": ("clipped_sound", "too much of the sound is cut off at a ceiling"),
    "min_level_db": ("faint_sound", "the sound is too faint"),
    "min_snr_db": ("noisy_sound", "noise is too loud beside the speech"),
    "min_dnsmos_ovr": ("poor_speech", "speech sounds too poor"),
    "max_voiceover_share": ("voice_over", "a voice is heard for too long while nobody in view speaks"),
    "max_extra_voice_share": ("extra_voices", "more voices are heard at once than faces are in view"),
    "max_foreign_voice_share": ("foreign_voice", "a face talks under voices that belong to nobody in view"),
    "min_sync_steadiness": ("dubbed", "the lips do not follow the sound"),
    "max_duplicate_share": ("near_duplicate", "another source shows or says the same"),
}

REASONS = dict(_RULES.values())
"""Codes of the broken rules, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurationRules:
    """Limits by score: `max_NAME` and `min_NAME` bound the clip's score NAME; None is no limit.

    A score that could not be had breaks no rule. docs/curation.md has every score's unit, range and how to set
    a limit; the scores are written whether or not there is one.
    """

    max_camera_motion: float | None = None
    max_camera_shake: float | None = None
    max_camera_zoom: float | None = None
    max_still_share: float | None = None
    max_still_face_share: float | None = None
    min_face_sharpness: float | None = None
    min_frame_sharpness: float | None = None
    max_dark_share: float | None = None
    max_bright_share: float | None = None
    min_highlights: float | None = None
    min_contrast: float | None = None
    min_face_contrast: float | None = None
    max_border_share: float | None = None
    max_text_share: float | None = None
    max_text_area: float | None = None
    max_hand_on_face: float | None = None
    max_face_overlap: float | None = None
    max_face_occlusion: float | None = None
    max_hand_occlusion: float | None = None
    max_music_share: float | None = None
    max_singing_share: float | None = None
    max_clipped_share: float | None = None
    min_level_db: float | None = None
    min_snr_db: float | None = None
    min_dnsmos_ovr: float | None = None
    max_voiceover_share: float | None = None
    max_extra_voice_share: float | None = None
    max_foreign_voice_share: float | None = None
    min_sync_steadiness: float | None = None
    max_duplicate_share: float | None = None

    def __post_init__(self) -> None:
        """Refuse limits that are no numbers."""
        for name, limit in self.limits().items():
            require(math.isfinite(limit), f"curation.{name}", limit, "a finite number")

    def limits(self) -> dict[str, float]:
        """Return the limits that are set, by rule."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def bounded(self) -> frozenset[str]:
        """Return the names of the scores that have a limit."""
        return frozenset(name.partition("_")[2] for name in self.limits())


def broken(scores: Mapping[str, float], rules: CurationRules) -> tuple[str, ...]:
    """Return the codes of the rules that scores break."""
    codes = []
    for rule, limit in rules.limits().items():
        side, _, name = rule.partition("_")
        value = scores.get(name)
        if value is not None and (value > limit if side == "max" else value < limit):
            codes.append(_RULES[rule][0])
    return tuple(codes)


def judged(clip: Clip, scores: Mapping[str, float], rules: CurationRules) -> Clip:
    """Return a clip with further scores, and filtered where these break a rule."""
    new = tuple(code for code in broken(scores, rules) if code not in clip.reasons)
    reasons = clip.reasons + new
    return replace(
        clip, scores={**clip.scores, **scores}, reasons=reasons, status="filtered" if reasons else clip.status
    )
