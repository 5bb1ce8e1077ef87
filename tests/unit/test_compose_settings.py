"""Settings of composed scenes: ranges, presets, and how a user learns of their names."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mitds.cli import app
from mitds.errors import UsageError
from mitds.pipeline.compose import compose_config
from mitds.pipeline.compose.config import ScriptConfig


@pytest.mark.parametrize(
    "setting",
    [
        "people=[3,2]", "picture.sizes=[]", "picture.camera=1.5", "picture.camera=-0.1", "script.soft=2",
        "sound.noise=1.1", "sound.music=-1", "sound.noise_db=[30,12]", "sound.music_db=[0,100]",
        "sound.spread_db=-1", "sound.noise_db=[0,NaN]",
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(setting: str) -> None:
    name = setting.partition("=")[0].rpartition(".")[2]
    with pytest.raises(UsageError, match=f"^.*{name} is .* must be"):
        compose_config("mixed", [setting])


def test_a_preset_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="preset"):
        compose_config("plane")


def test_the_documented_command_lists_the_settings() -> None:
    text = (Path(__file__).parents[2] / "docs" / "compose.md").read_text()
    command = next(part for part in text.split("`") if "--set script.x=1" in part)
    result = CliRunner().invoke(app, command.split()[1:])
    assert isinstance(result.exception, UsageError)
    for field in fields(ScriptConfig):
        assert field.name in str(result.exception)
