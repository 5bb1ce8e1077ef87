"""What every metric promises: a card that says what it is, rows per item or person, one declared reduction.

Axes in names: T frames, H height, W width, C channels RGB, N persons (rows of the item's arrays), S samples,
D features.
Frames are uint8 RGB; sums are float64. A metric is a pure function of decoded pictures, sound and labels: the same
content gives the same bits, whatever the container, the number of workers or the order of files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from numpy.typing import NDArray

from mitds.benchmark.footage import Footage
from mitds.manifests.records import Array, Clip, ClipArrays

Arrays = dict[str, NDArray[Any]]

Status = Literal[
    "ok",
    "undefined",  # the real footage gives nothing to measure here: left out for every system alike
    "no_face",  # the output shows no face where one belongs
    "missing",  # no output
    "unreadable",  # the output does not decode
    "wrong_shape",  # frame count, frame rate or size is not what was asked for
    "crashed",  # decoding or judging the output killed its process
    "timeout",
]
"""How a measurement ended. All but "ok" and "undefined" are the system's fault and cost the metric's penalty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a metric is, for people and for the code that aggregates it.

    Attributes:
        id: Definition and major version, "ssim@1"; bumped on any change above `tolerance`.
        title: Column head, "SSIM".
        says: One sentence: what is computed, over what.
        unit: "dB", "ms", ... or "".
        better: "higher", "lower", or "closer" (two-sided: nearer to real footage is better).
        needs: "pair": a reference and a generated video; "one": the generated video with its sound;
            "scene": the labels of a release's item too; "set": many videos at once.
        bounds: Closed range that any valid value lies in; None where unbounded.
        floor: Chance: the degenerate control whose value counts as 0 on the board, or a number.
        axis: Ability it stands for in the aggregate; "" where it is shown only.
        tolerance: Largest absolute difference that a recomputation on other hardware may show.
        weights: Catalogued weights of its judge.
        source: Where the definition comes from.
    """

    id: str
    title: str
    says: str
    unit: str = ""
    better: Literal["higher", "lower", "closer"]
    needs: Literal["pair", "one", "scene", "set"]
    bounds: tuple[float | None, float | None] = (None, None)
    floor: str | float
    axis: str = ""
    tolerance: float
    weights: tuple[str, ...] = ()
    source: str

    @property
    def name(self) -> str:
        """The id without its version."""
        return self.id.partition("@")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One measurement: of an item (`person` None) or of one person of it.

    Attributes:
        value: None unless status is "ok".
        person: Row n of the item's arrays.
        n: Frames, windows or switches the value rests on.
        detail: More that a reader may want: JSON-ready numbers, lists and texts (the binding matrix, ...).
    """

    value: float | None
    status: Status = "ok"
    person: int | None = None
    n: int = 0
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scene:
    """An item with its truth: what a metric may compare an output with.

    Attributes:
        id: Item id.
        real: The real footage.
        clip: Persons and turns on the item's clock; None for a bare pair of videos.
        arrays: Faces, speaking, poses of the real footage; None for a bare pair.
        voices_NS: Each person's voice, 16 kHz; None for a bare pair.
    """

    id: str
    real: Footage
    clip: Clip | None = None
    arrays: ClipArrays | None = None
    voices_NS: Array | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetScore:
    """A distance between two sets of videos.

    Attributes:
        value: None where the sets are too small; `reason` says so.
        n: Videos, or frames, in the smaller set.
        detail: For distances: "floor_halves" (real against real, split in halves), "error", ...
    """

    value: float | None
    n: int
    reason: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


class Metric(Protocol):
    """A metric of single videos. The item's value is the mean over its persons, the release's the mean over items."""

    card: ClassVar[Card]

    def score(self, scene: Scene, generated: Footage) -> list[Score]:
        """Measure one output: one Score, or one for each person.

        Args:
            scene: The truth. Never changed.
            generated: The output: as many frames as the real footage, of the same size (needs "pair" and "scene").

        Returns:
            Never an empty list. "undefined" may depend on the scene alone, never on the output.
        """


class SetMetric(Protocol):
    """A metric of sets of videos."""

    card: ClassVar[Card]

    def observe(self, scene: Scene, footage: Footage) -> Arrays:
        """Return what one video contributes; called for the real footage and for the output alike."""

    def reduce(self, real: Sequence[Arrays], generated: Sequence[Arrays]) -> SetScore:
        """Compare the two sets, given in the same order of items; no value may depend on that order."""
