"""All that a user can set about composed scenes, and the presets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mitds.config import override, require
from mitds.pipeline.compose.analysis import AnalysisConfig
from mitds.registry import unknown

Range = tuple[float, float]


def _require_shares(config: object, names: Sequence[str]) -> None:
    for name in names:
        require(0 <= getattr(config, name) <= 1, name, getattr(config, name), "0..1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptConfig:
    """Who speaks when, and what is in view. Shares and chances are 0..1.

    Attributes:
        turn_s: Length of most turns, seconds.
        gap_s: Pause between turns, seconds.
        long_gap: Chance that a pause lasts two to four seconds instead.
        overlap: Chance that a turn begins before the one before it ends.
        backchannel: Chance that a short remark falls into a long turn.
        offscreen: Chance that a turn is given to somebody who is never in view.
        shot_s: Length of a shot, seconds.
        soft: Share of the cuts that are dissolves.
        room: Share of the scenes whose people stand in one room; the others show panels.
        frozen: Share of the silences in which a person's picture stands still.
        muted: Share of the silences in which a person's lips move as in speech, without a voice.
        lips_moving: Largest movement of a closed mouth, in face sizes (deviation over a quarter of a second).
        lips_apart: Largest opening of a closed mouth, in face sizes.
    """

    turn_s: Range = (0.8, 6.0)
    gap_s: Range = (0.15, 1.2)
    long_gap: float = 0.1
    overlap: float = 0.15
    backchannel: float = 0.15
    offscreen: float = 0.1
    shot_s: Range = (5.0, 14.0)
    soft: float = 0.2
    room: float = 0.3
    frozen: float = 0.05
    muted: float = 0.1
    lips_moving: float = 0.015
    lips_apart: float = 0.12

    def __post_init__(self) -> None:
        for name in ("turn_s", "gap_s", "shot_s"):
            low, high = getattr(self, name)
            require(0 < low <= high, name, (low, high), "two numbers above 0, the smaller first")
        shares = ("long_gap", "overlap", "backchannel", "offscreen", "soft", "room", "frozen", "muted")
        _require_shares(self, shares)
        require(self.frozen + self.muted <= 1, "frozen + muted", self.frozen + self.muted, "at most 1")
        require(self.shot_s[0] >= 1.5, "shot_s", self.shot_s, "at least 1.5 seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureConfig:
    """How scenes look.

    Attributes:
        sizes: Widths and heights to draw from, px.
        face: Height of a face over the height of its panel; a source that is framed closer stays as it is.
        camera: Share of the shots whose camera moves: pan, zoom or by hand.
        crf: x264's constant rate factor; higher loses more.
    """

    sizes: tuple[tuple[int, int], ...] = ((1280, 720), (960, 540), (640, 360))
    face: Range = (0.2, 0.42)
    camera: float = 0.4
    crf: tuple[int, int] = (18, 26)

    def __post_init__(self) -> None:
        require(bool(self.sizes), "sizes", self.sizes, "one size or more")
        _require_shares(self, ("camera",))
        for width, height in self.sizes:
            require(
                min(width, height) >= 160 and not (width % 2 or height % 2),
                "sizes",
                self.sizes,
                "even, 160 or more",
            )
        require(0 < self.face[0] <= self.face[1] <= 0.8, "face", self.face, "0..0.8, the smaller first")
        require(0 <= self.crf[0] <= self.crf[1] <= 51, "crf", self.crf, "0..51, the smaller first")


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundConfig:
    """How scenes sound; ratios are of speech to the other, dB.

    Attributes:
        spread_db: Largest deviation of a voice from the common level, 0..20 dB.
        noise: Share of the scenes with background noise.
        noise_db: Speech over noise, -30..90 dB.
        music: Share of the scenes with music.
        music_db: Speech over music, -30..90 dB.
    """

    spread_db: float = 3.0
    noise: float = 0.4
    noise_db: Range = (12.0, 30.0)
    music: float = 0.15
    music_db: Range = (12.0, 24.0)

    def __post_init__(self) -> None:
        _require_shares(self, ("noise", "music"))
        require(0 <= self.spread_db <= 20, "spread_db", self.spread_db, "0..20")
        for name in ("noise_db", "music_db"):
            low, high = getattr(self, name)
            require(-30 <= low <= high <= 90, name, (low, high), "-30..90, the smaller first")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeConfig:
    """What scenes are like.

    Attributes:
        seconds: Length of a scene.
        people: Least and most people in view over a scene.
        analysis: How the clips are taken apart.
        script: Who speaks when, and what is in view.
        picture: How it looks.
        sound: How it sounds.
    """

    seconds: float = 40.0
    people: tuple[int, int] = (2, 4)
    analysis: AnalysisConfig = field(default_factory=AnalysisConfig)
    script: ScriptConfig = field(default_factory=ScriptConfig)
    picture: PictureConfig = field(default_factory=PictureConfig)
    sound: SoundConfig = field(default_factory=SoundConfig)

    def __post_init__(self) -> None:
        require(self.seconds >= 3, "seconds", self.seconds, "3 or more")
        require(1 <= self.people[0] <= self.people[1] <= 4, "people", self.people, "1..4, the smaller first")


PRESETS: dict[str, tuple[str, ...]] = {
    "mixed": (),
    "plain": (
        "script.offscreen=0", "script.soft=0", "script.room=0", "script.frozen=0", "script.muted=0",
        "picture.sizes=[[1280,720]]", "picture.camera=0", "picture.crf=[18,18]", "picture.face=[0.3,0.42]",
        "sound.noise=0", "sound.music=0",
    ),
    "hard": (
        "script.overlap=0.3", "script.backchannel=0.3", "script.offscreen=0.2", "script.soft=0.35",
        "script.muted=0.3", "script.shot_s=[3,9]", "picture.sizes=[[640,360],[426,240]]",
        "picture.face=[0.12,0.3]", "picture.camera=0.7", "picture.crf=[24,34]", "sound.noise=0.7",
        "sound.noise_db=[3,15]", "sound.music=0.3", "sound.music_db=[6,18]",
    ),
    "room": ("script.room=1",),
    "lips": ("script.muted=1", "script.frozen=0", "script.overlap=0", "script.backchannel=0"),
}  # fmt: skip
"""Settings by preset name, laid over the defaults."""


def compose_config(preset: str = "mixed", settings: list[str] | None = None) -> ComposeConfig:
    """Return a preset's configuration with settings laid over it, ``section.name=value``."""
    if preset not in PRESETS:
        raise unknown("preset", preset, list(PRESETS))
    return override(ComposeConfig(), [*PRESETS[preset], *(settings or [])])
