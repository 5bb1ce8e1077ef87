"""All metrics, models and controls by name. Nothing is imported here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from mitds.benchmark.contracts import Metric, SetMetric
from mitds.errors import UsageError
from mitds.manifests.items import Control, Model
from mitds.registry import Registry, unknown

_HERE = "mitds.benchmark.metrics"

METRICS: Registry[Callable[[], Metric | SetMetric]] = Registry(
    "metric",
    {
        "psnr@1": f"{_HERE}.psnr:Psnr",
        "ssim@1": f"{_HERE}.ssim:Ssim",
        "lpips.alex@1": f"{_HERE}.lpips:LpipsAlex",
        "lpips.vgg@1": f"{_HERE}.lpips:LpipsVgg",
        "fid.inception2048@1": f"{_HERE}.fid:Fid",
        "fvd.i3d400.squash224.t16@1": f"{_HERE}.fvd:Fvd",
        "mmd.i3d400.squash224.t16@1": f"{_HERE}.fvd:Mmd",
        "identity.sface@1": f"{_HERE}.identity:Identity",
        "identity-swap.sface@1": f"{_HERE}.identity:IdentitySwap",
        "face-found.yunet@1": f"{_HERE}.identity:FaceFound",
        "binding.lip-motion@1": f"{_HERE}.binding:BindingLipMotion",
        "binding.lr-asd@1": f"{_HERE}.binding:BindingLrAsd",
        "leakage.lip-motion@1": f"{_HERE}.leakage:LeakageLipMotion",
        "leakage.lr-asd@1": f"{_HERE}.leakage:LeakageLrAsd",
        "lag-onset.lips@1": f"{_HERE}.lag:LagOnset",
        "lag-offset.lips@1": f"{_HERE}.lag:LagOffset",
        "sync-c.syncnet-v2.compat@1": f"{_HERE}.sync:SyncCCompat",
        "sync-d.syncnet-v2.compat@1": f"{_HERE}.sync:SyncDCompat",
        "sync-c.syncnet-v2.overlap@1": f"{_HERE}.sync:SyncCOverlap",
        "sync-d.syncnet-v2.overlap@1": f"{_HERE}.sync:SyncDOverlap",
        "sync-c-speaking.syncnet-v2@1": f"{_HERE}.sync:SyncCSpeaking",
        "sync-d-speaking.syncnet-v2@1": f"{_HERE}.sync:SyncDSpeaking",
        "binding.syncnet-v2@1": f"{_HERE}.sync:BindingSyncNet",
        "interactivity.mesh-eyes@1": f"{_HERE}.listener:Interactivity",
        "rpcc-exp.mesh@1": f"{_HERE}.listener:RpccExp",
        "rpcc-pose.mesh@1": f"{_HERE}.listener:RpccPose",
        "var-exp.mesh@1": f"{_HERE}.listener:VarExp",
        "var-pose.mesh@1": f"{_HERE}.listener:VarPose",
        "sid-exp.mesh@1": f"{_HERE}.listener_sets:SidExp",
        "sid-pose.mesh@1": f"{_HERE}.listener_sets:SidPose",
        "fd-exp.mesh@1": f"{_HERE}.listener_sets:FdExp",
        "fd-pose.mesh@1": f"{_HERE}.listener_sets:FdPose",
    },
)

_CONTROLS = "mitds.baselines.controls"

CONTROLS: Registry[Callable[[], Control]] = Registry(
    "control",
    {
        "copy": f"{_CONTROLS}:Copy",
        "wrong-voice": f"{_CONTROLS}:WrongVoice",
        "always-talking": f"{_CONTROLS}:AlwaysTalking",
        "blurred": f"{_CONTROLS}:Blurred",
        "shuffled": f"{_CONTROLS}:Shuffled",
        "grey": f"{_CONTROLS}:Grey",
        "real": f"{_CONTROLS}:Real",
    },
)
"""Degenerate answers; "real" is the real footage itself, encoded once more: the other end of the scale."""

_TRAINED = "mitds.baselines.generation.model:TrainedModel"


class Trained(Protocol):
    """A class of models that are nothing without weights: it is called with the folder in which they lie."""

    def __call__(self, folder: Path, settings: Sequence[str] = ()) -> Model:
        """Load a model; settings ("sampling.steps=5") change how it draws, not its weights."""

    def identify(self, name: str, folder: Path, settings: Sequence[str] = ()) -> str:
        """Return a digest of the weights in a folder, whose files it has checked.

        Raises:
            UsageError: If they are not those of the model `name`, or it cannot draw by these settings.
        """


MODELS: Registry[Callable[[], Model] | Trained] = Registry(
    "model",
    {
        "puppet": "mitds.baselines.puppet:Puppet",
        "covog": _TRAINED,
        "covog-without-mpe": _TRAINED,
        "covog-without-iad": _TRAINED,
        "covog-published": _TRAINED,
        "animate-anyone": _TRAINED,
        "control-svd": _TRAINED,
    },
)


def metric_id(name: str) -> str:
    """Return the id a short name stands for: "psnr", "fvd", "binding.lip-motion" or a whole id.

    Raises:
        UnknownName: If nothing begins so.
        UsageError: If several metrics do.
    """
    if ":" in name or name in METRICS.names():
        return name
    found = [known for known in METRICS.names() if _stands_for(name, known)]
    if len(found) > 1:
        raise UsageError(f"{name!r} may be {', '.join(found)}", remedy="Write one of them.")
    if not found:
        raise unknown("metric", name, METRICS.names())
    return found[0]


def _stands_for(name: str, known: str) -> bool:
    plain = known.partition("@")[0]
    return plain == name or plain.startswith(f"{name}.")
