"""The records that flow: Source, Shot, FaceTrack, Voices, Clip and its Persons.

Array names end in their axes: N persons, T frames of a 25 fps grid, K keypoints, S samples or speakers,
D embedding dimensions, 4 a box (x1, y1, x2, y2). Boxes and points are pixels of the upright picture.
Times are rational seconds: `Fraction` in records, "num/den" text in JSON, on the clock the field names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mitds.time import CLIP_FPS

Array = NDArray[np.float32]
Status = Literal["kept", "filtered", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What the user stated about a source; travels with every clip cut from it."""

    licence: str | None = None
    consent: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a container says of itself, checked against its first decoded frame.

    Attributes:
        start: Seconds of the first picture on the container's clock (PTS).
        duration: Seconds from the first picture to the end of the last one.
        fps: Average picture rate.
        vfr: True where picture intervals differ by more than rounding.
        width: Upright width in square pixels.
        height: Upright height in square pixels.
        rotation: Degrees the container asks to turn by, clockwise: 0, 90, 180 or 270.
        audio_codec: None where there is no sound track.
    """

    container: str
    start: Fraction
    duration: Fraction
    fps: Fraction
    vfr: bool
    width: int
    height: int
    rotation: int
    sample_aspect: Fraction
    interlaced: bool
    video_codec: str
    pixel_format: str
    video_tracks: int
    audio_codec: str | None
    audio_rate: int | None
    audio_channels: int | None
    audio_tracks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One input line and what became of it.

    Attributes:
        row: 1-based line of the user's list.
        id: sha256 of the bytes, hex; None where no bytes could be had.
        name: File name or title the exports are named after; never used as a path as it is.
        status: "kept", "filtered" (a duplicate) or "failed".
        reason: Code of the end ("duplicate_of", "not_video", ...); empty where kept.
        detail: The sentence a person reads.
        notes: What the source itself states: its licence, an opt-out header.
    """

    row: int
    url: str
    id: str | None
    name: str
    title: str | None
    rights: Rights
    fetched_at: str | None
    bytes: int | None
    probe: Probe | None
    status: Status
    reason: str = ""
    detail: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A run of frames without a cut.

    Attributes:
        key: "SOURCE16-sNNNN", the key of the shard sample.
        start: PTS of the first frame, seconds on the source's clock.
        end: PTS of the next shot's first frame, or the end of the last frame.
        first_frame: Index of the first frame in the source, in presentation order.
        frames: Number of source frames.
        cut_score: Score of the cut that opens the shot; None for the first shot, and where none opens it.
        detector: Name of the shot detector.
        continues: True for a further piece of a shot that was too long to be one: no cut opens it.
    """

    key: str
    source_id: str
    index: int
    start: Fraction
    end: Fraction
    first_frame: int
    frames: int
    cut_score: float | None
    detector: str
    continues: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSound:
    """The whole sound of a source, kept once beside its shots as FLAC.

    Attributes:
        start: PTS of the first sample, seconds on the source's clock (may differ from the first picture's).
        rate: Samples a second.
        channels: 1 or 2.
        duration: Seconds.
    """

    start: Fraction
    rate: int
    channels: int
    duration: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceTrack:
    """One face followed inside one shot, on the shot's 25 fps grid (Grid.over(shot.start, shot.end)).

    Attributes:
        track: Number within the shot, from 0, in order of first appearance then left to right.
        first: Grid frame of row 0 of the arrays; rows are consecutive frames.
        xyxy_T4: Face boxes, px.
        score_T: Detector score 0..1; 0 where the box was interpolated across a short gap.
        landmarks_T52: Right eye, left eye, nose tip, right and left mouth corner (the subject's), px.
        detected_T: False where interpolated.
        embedding_D: Unit-norm mean identity embedding; None where no frame allowed one.
        identity: Name of the person within the source ("P0", "P1", ...); None before identities are joined.
    """

    track: int
    first: int
    xyxy_T4: Array
    score_T: Array
    landmarks_T52: Array
    detected_T: NDArray[np.bool_]
    embedding_D: Array | None
    identity: str | None = None

    @property
    def last(self) -> int:
        """Grid frame of the last row."""
        return self.first + len(self.score_T) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechTurn:
    """Someone speaks without a pause; `voice` is a diarization label ("V0"), times are seconds on the audio's clock."""

    voice: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Voices:
    """Who speaks when, by ear alone, over one source's whole audio; F steps of `hop_s` from its first sample.

    Attributes:
        voices: Labels, "V0", "V1", ..., in order of first speech.
        turns: Speech turns sorted by start; turns of different voices may overlap.
        activity_FV: Probability that voice v speaks in step f.
        speech_F: Probability that anybody speaks in step f.
        hop_s: Step length in seconds.
        embedding_VD: Unit-norm voice embeddings.
        model: Which backend said so.
        overlap_F: Probability that two people speak at once in step f; None where the backend does not say.
    """

    voices: tuple[str, ...]
    turns: tuple[SpeechTurn, ...]
    activity_FV: Array
    speech_F: Array
    hop_s: float
    embedding_VD: Array
    model: str
    overlap_F: Array | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakingScores:
    """How much one face track speaks, per grid frame of the track.

    Attributes:
        track: The FaceTrack's number.
        logit_T: The model's raw score (higher: more likely speaking); NaN where the model abstains.
        probability_T: Calibrated probability 0..1; NaN where the model abstains.
        model: Which backend said so.
    """

    track: int
    logit_T: Array
    probability_T: Array
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Which voice belongs to which face within one source.

    Attributes:
        identity: Face identity ("P0"), or None where the voice was judged off-screen.
        voice: Diarization label.
        probability: Probability that the pairing is right, 0..1.
        abstained: True where no face was given to the voice, or no voice to the face, for lack of evidence.
        evidence_s: Seconds of speech with the face in view that the judgement rests on.
    """

    identity: str | None
    voice: str
    probability: float
    abstained: bool
    evidence_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A person speaks on the clip's clock, seconds."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One person of a clip; row n of the clip's arrays.

    Attributes:
        track: Face track number within the shot.
        identity: Person within the source ("P0").
        voice: Diarization label bound to the identity; None where the binder abstains or found none.
        voice_probability: Probability of that binding; None where there is none.
        voice_status: "bound"; "abstained": speaks, or may own a voice whose owner was left open; "none": silent.
        turns: When this person speaks, clip clock.
        speaking_model: Which speaker scorer said so.
    """

    track: int
    identity: str
    voice: str | None
    voice_probability: float | None
    voice_status: Literal["bound", "abstained", "none"]
    turns: tuple[Turn, ...]
    speaking_model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """How a clip came about, beyond its source's address and rights, which stand in the clip itself.

    Attributes:
        fetched_at: UTC time its source was fetched, ISO 8601; None where it lay on the machine already.
        notes: What the source itself states: its licence, an opt-out header.
        tool: "mitds VERSION".
        libraries: Version by name of the libraries that decide a clip's bytes.
    """

    fetched_at: str | None
    notes: tuple[str, ...]
    tool: str
    libraries: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One clip: a span of one shot with the people visible in it.

    Attributes:
        key: 16 hex digits: digest of source, span, configuration and weights; the key of the shard sample.
        start: First frame, seconds on the source's clock.
        end: End of the last frame, same clock.
        frames: T, the number of 25 fps frames.
        status: "kept", or "filtered" where written by --keep-all.
        reasons: Codes of the rules it breaks; empty where kept.
        scores: Measured numbers by name (speech_share, overlap_share, min_face_side, ...).
        offscreen: Speech on the clip's clock that belongs to nobody in view, by voice label.
        unassigned: Speech whose owner the binder left open, by voice label; somebody in view may utter it.
        models: Backend name by stage.
        digests: "config", and sha256 by weight name.
        duplicate_of: Key of the clip of an earlier source that shares most with this one; None where none does.
        seals: sha256 by extension of the sample's other members (mp4, wav, npz); empty where written before seals.
        provenance: How it came about; None where written before it was kept.
    """

    key: str
    source_id: str
    source_name: str
    source_url: str
    rights: Rights
    shot: str
    start: Fraction
    end: Fraction
    frames: int
    width: int
    height: int
    persons: tuple[Person, ...]
    offscreen: tuple[SpeechTurn, ...]
    unassigned: tuple[SpeechTurn, ...]
    status: Status
    reasons: tuple[str, ...]
    scores: dict[str, float]
    models: dict[str, str]
    digests: dict[str, str]
    duplicate_of: str | None = None
    seals: dict[str, str] = field(default_factory=dict)
    provenance: Provenance | None = None
    schema: str = "mitds.clip/1"

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return self.frames / float(CLIP_FPS)


@dataclass(frozen=True, slots=True)
class ClipArrays:
    """The arrays of one clip, `KEY.npz`, all over the same T frames.

    Attributes:
        face_xyxy_NT4: Face boxes, px; NaN where the person has no face box.
        face_score_NT: Detector score 0..1; 0 where interpolated or absent.
        speaking_NT: Probability of speaking 0..1; NaN where the scorer abstains.
        pose_NTK3: COCO-WholeBody 133 keypoints: x px, y px, confidence 0..1; confidence 0 and NaN where absent.
        visible_NT: True where the face is in view.
        pts_T: Seconds of each frame on the clip's clock (frame k at k/25).
    """

    face_xyxy_NT4: Array
    face_score_NT: Array
    speaking_NT: Array
    pose_NTK3: Array
    visible_NT: NDArray[np.bool_]
    pts_T: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
