"""Names of published ways to convert images to Inception's input."""

from typing import Literal

InceptionPreprocessing = Literal["tensorflow", "score_sde", "pytorch_fid", "clean_fid"]
"""tensorflow: as in the original and in torch-fidelity, bilinear from the top left corner,
``(x - 128) / 128``. score_sde: the same with ``(x - 127.5) / 127.5``. pytorch_fid: bilinear from
pixel centres, ``2 x / 255 - 1``. clean_fid: Pillow's antialiased bicubic filter, then as
tensorflow."""
