"""All backends by family and name, and the profiles that pick one of each. Nothing is imported here."""

from __future__ import annotations

from collections.abc import Callable

from mitds.annotators.contracts import Diarizer, FaceTracker, PoseEstimator, ShotDetector, SpeakerScorer
from mitds.registry import Registry, unknown

SHOTS: Registry[Callable[..., ShotDetector]] = Registry(
    "shot detector",
    {
        "pyscenedetect": "mitds.annotators.shots.pyscenedetect:PySceneDetect",
        "transnetv2": "mitds.annotators.shots.transnetv2:TransNetV2",
    },
)
FACES: Registry[Callable[..., FaceTracker]] = Registry(
    "face tracker", {"yunet": "mitds.annotators.faces.tracker:YuNetTracker"}
)
SPEECH: Registry[Callable[..., Diarizer]] = Registry(
    "diarizer",
    {
        "segmentation-ecapa": "mitds.annotators.speech.diarizer:SegmentationEcapa",
        "pyannote": "mitds.annotators.speech.pyannote_backend:PyannoteCommunity",
    },
)
ASD: Registry[Callable[..., SpeakerScorer]] = Registry(
    "speaker scorer",
    {
        "lip-motion": "mitds.annotators.asd.lip_motion:LipMotion",
        "lip-net": "mitds.annotators.asd.lip_net:LipNet",
        "lr-asd": "mitds.annotators.asd.lr_asd:LrAsd",
        "lr-asd-lip-net": "mitds.annotators.asd.joint:JointScorer",
    },
)
POSE: Registry[Callable[..., PoseEstimator]] = Registry(
    "pose backend",
    {
        "mediapipe": "mitds.annotators.pose.mediapipe:MediaPipePose",
        "rtmw": "mitds.annotators.pose.simcc:Rtmw",
        "dwpose": "mitds.annotators.pose.simcc:DwPose",
        "sapiens": "mitds.annotators.pose.sapiens:Sapiens",
        "sapiens2": "mitds.annotators.pose.sapiens:Sapiens2",
        "mmpose": "mitds.annotators.pose.mmpose:MMPose",
    },
)

WEIGHTS: dict[str, tuple[str, ...]] = {
    "pyscenedetect": (),
    "transnetv2": ("shots.transnetv2",),
    "yunet": ("faces.yunet", "identity.sface"),
    "segmentation-ecapa": ("speech.segmentation", "speech.ecapa"),
    "pyannote": (),
    "lip-motion": ("pose.face_mesh", "speech.segmentation"),
    "lip-net": ("pose.face_mesh", "speech.segmentation"),
    "lr-asd": ("asd.lr_asd",),
    "lr-asd-lip-net": ("asd.lr_asd", "pose.face_mesh", "speech.segmentation"),
    "mediapipe": ("pose.detector", "pose.landmarks", "pose.hand", "pose.face_mesh"),
    "rtmw": ("pose.rtmw",),
    "dwpose": ("pose.dwpose",),
    "sapiens": ("pose.sapiens",),
    "sapiens2": (),
    "mmpose": (),
}
"""The catalogued weights each backend resolves; those without any fetch their own from a hub, or need none."""

PROFILES: dict[str, dict[str, str]] = {
    "embedded": {"faces": "yunet", "speech": "segmentation-ecapa", "asd": "lip-net", "pose": "mediapipe"},
    "standard": {
        "faces": "yunet",
        "speech": "segmentation-ecapa",
        "asd": "lr-asd-lip-net",
        "pose": "mediapipe",
    },
    "full": {"faces": "yunet", "speech": "pyannote", "asd": "lr-asd-lip-net", "pose": "rtmw"},
}
"""Backend by family. embedded: package index only. standard: adds pinned https files. full: hub weights, GPU."""


def profile(name: str) -> dict[str, str]:
    """Return a profile's backends by family."""
    if name not in PROFILES:
        raise unknown("profile", name, list(PROFILES))
    return dict(PROFILES[name])
