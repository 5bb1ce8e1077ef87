"""The resolved configuration of an annotate run: which backends, with which settings, under which rules."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mitds.annotators.binding.binder import BinderConfig, fitted_binder
from mitds.annotators.binding.fusion import FusionConfig, fitted
from mitds.annotators.binding.seen_speech import SeenSpeechConfig
from mitds.annotators.identity.joining import JoiningConfig
from mitds.annotators.quality.occlusion import OcclusionConfig
from mitds.annotators.quality.registry import POSE_SCORES
from mitds.annotators.registries import ASD, FACES, POSE, SPEECH, WEIGHTS, profile
from mitds.config import canonical, override
from mitds.errors import UsageError
from mitds.pipeline.curation import CurationRules
from mitds.pipeline.selection import ClipRules
from mitds.pipeline.stages.clips import ClipEncoding
from mitds.pipeline.stages.people import TurnConfig
from mitds.pipeline.stages.quality import QualityConfig
from mitds.registry import Registry

FAMILIES: dict[str, Registry[Any]] = {"faces": FACES, "speech": SPEECH, "asd": ASD, "pose": POSE}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotateConfig:
    """Everything that decides what annotate writes.

    Attributes:
        profile: Name of the set of backends.
        backends: Backend by family; the profile's unless overridden.
        faces: Settings of the face tracker, of the class its backend declares; likewise the next three.
        quality: What a curator asks to be measured; likewise `occlusion`.
        curation: Limits on what was measured; none unless set.
        keep_all: Also write the clips that break a rule, to rejected-*.tar.
    """

    profile: str
    backends: dict[str, str]
    faces: Any
    speech: Any
    asd: Any
    pose: Any
    joining: JoiningConfig = field(default_factory=JoiningConfig)
    binder: BinderConfig = field(default_factory=BinderConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    seen_speech: SeenSpeechConfig = field(default_factory=SeenSpeechConfig)
    turns: TurnConfig = field(default_factory=TurnConfig)
    rules: ClipRules = field(default_factory=ClipRules)
    quality: QualityConfig = field(default_factory=QualityConfig)
    occlusion: OcclusionConfig = field(default_factory=OcclusionConfig)
    curation: CurationRules = field(default_factory=CurationRules)
    clip: ClipEncoding = field(default_factory=ClipEncoding)
    keep_all: bool = False

    def __post_init__(self) -> None:
        """Refuse limits on scores that nothing measures: they would let every clip pass."""
        unmeasured = self.curation.bounded() - self.quality.scores() - set(POSE_SCORES)
        if unmeasured:
            raise UsageError(
                f"there is a limit on {', '.join(sorted(unmeasured))}, which no chosen measure gives",
                where="curation",
                remedy="Add the measure to quality.measures (docs/curation.md), or drop the limit.",
            )

    def weights(self) -> tuple[str, ...]:
        """Return the names of all catalogued weights the backends and the measures need."""
        names = {name for backend in self.backends.values() for name in WEIGHTS.get(backend, ())}
        return tuple(sorted(names | self.quality.weights()))


def default_settings(backend: type) -> Any:
    """Return the configuration a backend's constructor takes by default."""
    return inspect.signature(backend).parameters["config"].default


def annotate_config(
    profile_name: str,
    *,
    backends: Mapping[str, str] | None = None,
    file: Path | None = None,
    settings: Sequence[str] = (),
    keep_all: bool = False,
) -> AnnotateConfig:
    """Resolve a configuration: the profile, then the file, then single settings.

    Args:
        profile_name: "embedded", "standard" or "full".
        backends: Backends that replace the profile's, by family.
        file: YAML with sections named like the fields (rules, binder, faces, ...); backends under `backends`.
        settings: "section.name=value" texts, the last word.
        keep_all: Also write the clips that break a rule.
    """
    from_file = _read_yaml(file) if file else {}
    chosen = profile(profile_name) | from_file.pop("backends", {}) | dict(backends or {})
    for family in chosen:
        if family not in FAMILIES:
            raise UsageError(
                f"no family of backends is called {family!r}", remedy=f"Use {', '.join(FAMILIES)}."
            )
    resolved = {family: default_settings(FAMILIES[family].get(name)) for family, name in chosen.items()}
    config = AnnotateConfig(
        profile=profile_name,
        backends=chosen,
        binder=fitted_binder(chosen["asd"]),
        fusion=fitted(chosen["asd"]),
        keep_all=keep_all,
        **resolved,
    )
    return override(config, [*_leaves(from_file), *settings])


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"the configuration cannot be read: {error}", where=str(file)) from error
    if not isinstance(content, dict):
        raise UsageError(
            "the configuration is not a mapping", where=str(file), remedy="Use sections like `rules:`."
        )
    return content


def _leaves(content: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={canonical(value)}"
