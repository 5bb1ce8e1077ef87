"""mitds: datasets and benchmarks for video of several people talking with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mitds.manifests.dataset import ClipDataset, load

__version__ = "0.1.0"
__all__ = ["ClipDataset", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """Import the readers on first use, so that ``import mitds`` stays light."""
    if name in ("ClipDataset", "load"):
        from mitds.manifests import dataset

        return getattr(dataset, name)
    raise AttributeError(f"module 'mitds' has no attribute {name!r}")
