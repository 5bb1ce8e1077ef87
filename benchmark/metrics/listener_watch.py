"""Who listens when in an item, and what their faces do, really and as generated."""

from __future__ import annotations

from dataclasses import dataclass

from mitds.benchmark.contracts import Scene
from mitds.benchmark.footage import Footage
from mitds.benchmark.judges.face_motion import Motion, mean_face, motion
from mitds.benchmark.judges.mesh import meshes
from mitds.benchmark.metrics.talk import SHORTEST, listening_NT
from mitds.manifests.turns import Mask, spoken_NT


@dataclass(frozen=True, slots=True)
class Watched:
    """One person of a scene, really and as generated.

    Attributes:
        person: Row n of the item's arrays.
        listens_T: When this person is silent while somebody else speaks.
        speaks_T: When this person speaks.
        real: Motion of the real face.
        generated: Motion of the generated face.
    """

    person: int
    listens_T: Mask
    speaks_T: Mask
    real: Motion
    generated: Motion

    @property
    def asked_T(self) -> Mask:
        """Listening frames on which the real face shows: what an output is held against."""
        return self.listens_T & self.real.known_T

    @property
    def is_listener(self) -> bool:
        """True where there are enough of these: 0.6 s, and most of the listening time."""
        asked = int(self.asked_T.sum())
        return asked >= SHORTEST and 2 * asked > self.listens_T.sum()


def watch(scene: Scene, footage: Footage) -> list[Watched]:
    """Watch each person of a scene in a video of it; a bare pair of videos has no persons."""
    if scene.clip is None or scene.arrays is None:
        return []
    real_NTP3, generated_NTP3 = meshes(scene, scene.real), meshes(scene, footage)
    listens_NT, speaks_NT = listening_NT(scene.clip), spoken_NT(scene.clip)
    people = []
    for n in range(len(scene.clip.persons)):
        mean = mean_face(real_NTP3[n])
        faces = (motion(mesh_NTP3[n], mean) for mesh_NTP3 in (real_NTP3, generated_NTP3))
        people.append(Watched(n, listens_NT[n], speaks_NT[n], *faces))
    return people


@dataclass(frozen=True, slots=True)
class Window:
    """The frames over which a listener is compared.

    Attributes:
        real_T: Frames of the real face.
        generated_T: Those of them on which the generated face shows.
    """

    real_T: Mask
    generated_T: Mask

    @property
    def absent(self) -> bool:
        """True where the output does not show the face on most of them."""
        return bool(2 * self.generated_T.sum() <= self.real_T.sum())


def window(who: Watched, also_T: Mask | None = None) -> Window | None:
    """Return a listener's frames, or those that lie in `also_T`; None where the scene gives too few."""
    real_T = who.asked_T if also_T is None else who.asked_T & also_T
    if not who.is_listener or real_T.sum() < SHORTEST:
        return None
    return Window(real_T, real_T & who.generated.known_T)
