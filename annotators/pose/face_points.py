"""What the points of the face mesh mean: the parts that its network refines, and the 68 iBUG points."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """A refined part of the face, as the published graph defines it.

    Attributes:
        sampled: Name of the tensor that takes the sampled features.
        points: Mesh points around which is sampled; the first head refines these.
        axis: Two mesh points that lie level in the sampled part.
        heads: Mesh points by output tensor.
    """

    sampled: str
    points: list[int]
    axis: tuple[int, int]
    heads: dict[str, list[int]]


def _indices(text: str) -> list[int]:
    return [int(i) for i in text.split()]


_LIPS = _indices("""
    61 146 91 181 84 17 314 405 321 375 291 185 40 39 37 0 267 269 270 409
    78 95 88 178 87 14 317 402 318 324 308 191 80 81 82 13 312 311 310 415
    76 77 90 180 85 16 315 404 320 307 306 184 74 73 72 11 302 303 304 408
    62 96 89 179 86 15 316 403 319 325 292 183 42 41 38 12 268 271 272 407""")
_RIGHT_EYE = _indices("""
    33 7 163 144 145 153 154 155 133 246 161 160 159 158 157 173
    130 25 110 24 23 22 26 112 243 247 30 29 27 28 56 190
    226 31 228 229 230 231 232 233 244 113 225 224 223 222 221 189
    35 124 46 53 52 65 143 111 117 118 119 120 121 128 245 156 70 63 105 66 107 55 193""")
_LEFT_EYE = _indices("""
    263 249 390 373 374 380 381 382 362 466 388 387 386 385 384 398
    359 255 339 254 253 252 256 341 463 467 260 259 257 258 286 414
    446 261 448 449 450 451 452 453 464 342 445 444 443 442 441 413
    265 353 276 283 282 295 372 340 346 347 348 349 350 357 465 383 300 293 334 296 336 285 417""")

PARTS = (
    Part("transform_tensor_bilinear_v2", _LIPS, (61, 291), {"conv_lips": _LIPS}),
    Part(
        "transform_tensor_bilinear_v2_1",
        _RIGHT_EYE,
        (33, 133),
        {"conv_left_eye": _RIGHT_EYE, "conv_left_iris": list(range(468, 473))},
    ),
    Part(
        "transform_tensor_bilinear_v2_2",
        _LEFT_EYE,
        (362, 263),
        {"conv_right_eye": _LEFT_EYE, "conv_right_iris": list(range(473, 478))},
    ),
)
"""Lips, right eye and left eye; the network's own names for the eyes are the viewer's."""

IBUG68 = (
    *(127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356),
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),
    *(168, 197, 5, 4, 64, 98, 2, 327, 294),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91),
    *(78, 81, 13, 311, 308, 402, 14, 178),
)
"""Mesh point nearest to each of the 68 iBUG points: jaw, brows, nose, eyes, outer and inner lips."""
