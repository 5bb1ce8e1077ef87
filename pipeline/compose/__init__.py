"""Scenes with exact truth, composed from clips of single speakers."""

from mitds.pipeline.compose.composer import Composed, compose, compose_scene, find_people
from mitds.pipeline.compose.config import PRESETS, ComposeConfig, compose_config
from mitds.pipeline.compose.parts import Clip
from mitds.pipeline.compose.sources import clips_of

__all__ = [
    "PRESETS",
    "Clip",
    "ComposeConfig",
    "Composed",
    "clips_of",
    "compose",
    "compose_config",
    "compose_scene",
    "find_people",
]
