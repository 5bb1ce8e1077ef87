"""PySceneDetect's adaptive detector, fed with our pictures so that cuts are presentation times."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector
from scenedetect.stats_manager import StatsManager

from mitds.annotators.contracts import Cut
from mitds.annotators.shots.cuts import spaced
from mitds.media import Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class PySceneDetectConfig:
    """Settings; the defaults of the package, but for the size and for counting seconds, not frames.

    Attributes:
        threshold: Ratio of a frame's change to its neighbours' that makes it a cut.
        window: Neighbours on either side. A cut in the last `window` frames is not found.
        min_change: Least change (HSV, 0..255) of a cut, however still its neighbours are.
        min_shot_s: Least length of a shot, s.
        max_side: Longer side of the pictures that are compared, px.
    """

    threshold: float = 3.0
    window: int = 2
    min_change: float = 15.0
    min_shot_s: float = 0.6
    max_side: int = 320


class PySceneDetect:
    """Hard cuts by frame difference against a rolling average (Castellano, PySceneDetect)."""

    name = "pyscenedetect"

    def __init__(self, config: PySceneDetectConfig = PySceneDetectConfig()) -> None:
        self.config = config
        self.max_side = config.max_side

    def detect(self, pictures: Iterable[Picture]) -> list[Cut]:
        """Return the cuts; scores are the adaptive ratio, from `threshold` to 255."""
        start: Fraction | None = None
        found: list[Cut] = []
        for picture, cut in self._cuts(pictures):
            start = picture.pts if start is None else start
            found += [cut] if cut is not None else []
        return list(spaced(found, start or Fraction(0), self.config.min_shot_s))

    def _cuts(self, pictures: Iterable[Picture]) -> Iterator[tuple[Picture, Cut | None]]:
        """Yield each picture, and the cut that became certain with it."""
        detector = AdaptiveDetector(
            adaptive_threshold=self.config.threshold,
            min_scene_len=0,
            window_width=self.config.window,
            min_content_val=self.config.min_change,
        )
        detector.stats_manager = StatsManager()
        ratio = detector.get_metrics()[-1]
        recent: deque[Fraction] = deque(maxlen=self.config.window + 1)
        for number, picture in enumerate(pictures):
            recent.append(picture.pts)
            # The detector's own clock only counts: at one frame a second, seconds are our numbers.
            hits = detector.process_frame(FrameTimecode(number, 1.0), picture.frame_HWC[..., ::-1])
            cut = None
            for hit in hits:
                (score,) = detector.stats_manager.get_metrics(hit, [ratio])
                cut = Cut(recent[hit.frame_num - number - 1], picture.index + hit.frame_num - number, score)
            yield picture, cut
