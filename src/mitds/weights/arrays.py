"""Reading weights that were saved as a pickle of plain NumPy arrays, without letting a pickle run anything."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitds.errors import MissingWeights

_HARMLESS: dict[tuple[str, str], Any] = {
    (module, name): thing
    for module in ("numpy.core.multiarray", "numpy._core.multiarray", "numpy")
    for name, thing in (
        ("_reconstruct", np._core.multiarray._reconstruct),  # type: ignore[attr-defined]
        ("scalar", np._core.multiarray.scalar),  # type: ignore[attr-defined]
        ("ndarray", np.ndarray),
        ("dtype", np.dtype),
    )
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _HARMLESS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _HARMLESS[module, name]


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read a pickle of nested dictionaries of arrays, flattened: "params/Conv_0/kernel".

    Raises:
        MissingWeights: If the file holds anything but dictionaries of arrays.
    """
    try:
        with path.open("rb") as file:
            tree = _ArraysOnly(file).load()
        return dict(_flat(tree, ""))
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError) as error:
        raise MissingWeights(
            f"not a file of plain arrays: {error}", where=str(path), remedy="Fetch the weight anew."
        ) from error


def _flat(value: Any, name: str) -> Iterator[tuple[str, NDArray[Any]]]:
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from _flat(value[key], f"{name}/{key}" if name else str(key))
    elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
        yield name, value
    else:
        raise ValueError(f"{name or 'the top'} is no array")
