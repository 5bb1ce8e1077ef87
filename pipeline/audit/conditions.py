"""The conditions under which who speaks is scored apart, by the name that `Measure.by` has."""

from __future__ import annotations

SMALL_PX, LARGE_PX = 64, 128
"""Widths of faces, px of the picture, that AVA-ActiveSpeaker calls small and large."""

SMALL = f"small faces (< {SMALL_PX} px)"
MIDDLE = f"middle faces ({SMALL_PX}-{LARGE_PX} px)"
LARGE = f"large faces (> {LARGE_PX} px)"
OVERLAP = "overlap"
OFFSCREEN = "off-screen voice"
MOVING_LIPS = "moving lips"

_WIDTH = "px of the video's picture; the sizes of AVA-ActiveSpeaker"
CONDITIONS = {
    SMALL: f"True face frames whose box is less than {SMALL_PX} px wide, {_WIDTH}.",
    MIDDLE: f"True face frames whose box is {SMALL_PX} to {LARGE_PX} px wide.",
    LARGE: f"True face frames whose box is more than {LARGE_PX} px wide.",
    OVERLAP: "All true faces of frames in whose middle two people or more speak, in view or not.",
    OFFSCREEN: "All true faces of frames in whose middle somebody speaks who has no true face in the frame.",
    MOVING_LIPS: "All true faces of frames in which the lips of somebody in view move who does not speak then.",
}
"""What each condition is restricted to."""
