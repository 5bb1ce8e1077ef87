"""The networks of the baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mitds.baselines.conditions.sound import features_of

if TYPE_CHECKING:
    from torch import nn

    from mitds.baselines.recipe import Recipe


def build_network(recipe: Recipe) -> nn.Module:
    """Return the network of a recipe (`contracts.Network`); the same seed gives the same random weights."""
    from mitds.baselines.networks.covog import Covog
    from mitds.baselines.networks.svd import ControlSvd

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if recipe.design.kind == "svd":
            return ControlSvd(recipe)
        return Covog(recipe, features_of(recipe.audio.features, recipe.audio.source).dim)
