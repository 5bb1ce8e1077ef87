"""The words of docs/error-budget.md; its numbers come from the run alone."""

HEAD = """# Error budget

From decode to mean: what each step can move. Each row below is the same items scored twice, with one step done
otherwise. This page is written by

    mitds metrics budget RELEASE --items N --out docs/error-budget.md

Generated videos are the outputs of three controls in turn (`wrong-voice`, `always-talking`, `blurred`): sharp moving
faces, sharp warped ones, and pictures without detail. On the last of them a detector finds faces on few frames, by
luck, and any change flips them, so metrics of faces and voices are read on the first two. All are chance, not good
systems: where closeness to real matters, a row with a perfect output stands beside them. The items are those on which
most of the metrics are defined.
"""

READING_HEAD = "## Reading\n\n"

TABLE_HEAD = """## Table

The largest absolute change of a measurement: a metric's value of an item, or of a person of it, or for FID, FVD and
MMD the distance of the sets. "Lost" counts measurements that are there on one side only, because a face was found
there only. A dash: the step cannot touch that metric, or nothing is defined on these items. Scale is |real − floor| of
the release's anchors: the distance from chance to real footage, 100 points of a score. Distances of sets are taken
over the items of this page, which are fewer than those of the anchors: read their shares as orders of magnitude.

"""

PARTS = {
    "container": """## 1. Container

The same coded pictures in mp4, mkv or mov. A container holds times and packets, not pixels; mkv rounds times to
milliseconds. Anyone who re-muxes a video meets this. `mitds` reads frames in presentation order and allows 2 ms around
the 25 fps grid, so that no container changes which frame is which: the change must be exactly 0. (Where the decoded
pixels turn out equal, here and in step 2, values are not computed again; that equal pixels give equal values in another
process is what step 8 measures.)
""",
    "decoder": """## 2. Decoder

H.264 says exactly which pixels come out of undamaged data, so threads of the decoder can change only speed. `mitds
eval` uses one all the same: damaged streams may be concealed differently with several, and must not depend on luck.
A release lists the digest of every item's decoded pixels, and `mitds eval` refuses to run where the real footage
decodes to others.
""",
    "pixels": """## 3. Pixels

YUV 4:2:0 becomes RGB by a matrix (BT.709 or BT.601) after chroma has been brought to full size. Standards leave open
how, and libraries differ. The two rows convert real footage and outputs alike, in float64, with the matrix the file
names, once with each chroma sample repeated and once interpolated at the places MPEG-2 gives it; `mitds` itself uses
swscale with fixed settings, which also round down where float64 rounds to the nearest level. Who computes metrics with
another reader (OpenCV, decord, torchcodec) meets this. Taking the wrong matrix, or full range for limited, moves far
more and is no matter of precision.
""",
    "codec": """## 4. Codec of the output

The pictures of an output are written as H.264 before they are scored. The first four rows compare with the pictures
before any codec; the fifth takes the real footage itself as the output, where every loss counts. Models and
controls run by `mitds eval` are written at crf 12, and the `real` end of each scale has been through the same codec.
Who submits videos chooses the codec: low quality costs what the table says, and is the submission's own loss.
""",
    "shift": """## 5. A pixel, a frame

The whole output one pixel to the right, and one frame (40 ms) late. Such offsets come from padding, cropping, or an
off-by-one in a pipeline. They are true errors of an output, so metrics may see them. PSNR and SSIM compare pixel by
pixel and punish a shift that nobody sees. Metrics of lips move on single items as well: another crop of a mouth is
another measurement of a few pixels, which only the mean over many items settles.
""",
    "numerics": """## 6. Numerics of judges

Networks compute in float32, and sums of floats depend on their order: on threads and on the vector instructions a
processor has. `mitds` runs each network on one thread with blocks of fixed size, so one processor always gives the same
bits; two threads are shown because they are what other code does. The other processors are this one, with libraries
(PyTorch, oneDNN, MKL, OpenCV, OpenBLAS, NumPy) told to do without AVX-512, or without any AVX. TFLite, which runs the
face mesh, and onnxruntime, which hears speech, choose their kernels themselves and cannot be told: metrics that rest
on them see only what changes in the faces they are given. Changes stay below the tolerance of each card, or the table
says so; a tolerance is what a recomputation elsewhere is allowed.
""",
    "boxes": """## 7. Reference boxes

Metrics of scenes look for each person where the release's labels say the face is. Here every side of every box moves
by one pixel, in or out at random: the least that two detectors, or one detector on two encodings, disagree by. Where
boxes only say which of the output's faces is whose, nothing moves; where the first look is cut out by them, it does.
Boxes are part of a frozen release, the same for every system, so no leaderboard sees this step; who builds a release
anew does.
""",
    "order": """## 8. Order, workers, cache

The same items scored by the evaluation engine itself: by two processes in reverse order, and once more with what
judges saw taken from the cache on disk. Rows are gathered in the order of items, persons in the order of the
release's arrays, sums are float64, and sets are sorted by content. The changes must be exactly 0.
""",
    "sample": """## 9. The sample

Half of the 95 % interval of the mean over all items of this release (10,000 draws of whole clusters; the largest of the
three controls). MMD has 1.96 jackknife standard errors instead; FID and FVD have no interval, and show 1.96 standard
deviations of the distance of real to real footage over random halves. This is what a difference of two systems has
to beat. The rows above are the largest change of single values, most of which average out in the mean; this row
is the mean's.
""",
}
