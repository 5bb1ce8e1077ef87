"""Pictures and sound in and out, by presentation time: where there is a clock, nothing counts frames."""

from mitds.media.pictures import Picture, grid_frames, pictures
from mitds.media.probing import probe
from mitds.media.rgb import Frame
from mitds.media.sound import Sound, audible_track, read_sound, write_flac, write_wav16k
from mitds.media.tracks import DecodeLog
from mitds.media.writing import write_video

__all__ = [
    "DecodeLog",
    "Frame",
    "Picture",
    "Sound",
    "audible_track",
    "grid_frames",
    "pictures",
    "probe",
    "read_sound",
    "write_flac",
    "write_video",
    "write_wav16k",
]
