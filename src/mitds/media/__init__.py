"""Pictures and sound in and out, by presentation time: where there is a clock, nothing counts frames."""

from mitds.media.pictures import Picture, grid_frames, pictures
from mitds.media.probing import probe
from mitds.media.rgb import Frame
from mitds.media.sound import Sound, audible_track, read_sound, sound_blocks
from mitds.media.soundfiles import (
    keep_sound,
    mono16k,
    read_padded,
    sound_part,
    wav16k_bytes,
    write_flac,
    write_wav16k,
)
from mitds.media.tracks import DecodeLog
from mitds.media.writing import video_bytes, write_video

__all__ = [
    "DecodeLog",
    "Frame",
    "Picture",
    "Sound",
    "audible_track",
    "grid_frames",
    "keep_sound",
    "mono16k",
    "pictures",
    "probe",
    "read_padded",
    "read_sound",
    "sound_blocks",
    "sound_part",
    "video_bytes",
    "wav16k_bytes",
    "write_flac",
    "write_video",
    "write_wav16k",
]
