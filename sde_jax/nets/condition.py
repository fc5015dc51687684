"""Conditioning inputs of networks."""

from typing import NamedTuple

from sde_jax.arrays import Array, Image, Int


class Condition(NamedTuple):
    """A class label, a conditioning image, both, or none.

    Attributes:
      label: class in ``[0, classes)`` of each example; -1 for an example without a label.
      image: channels concatenated to the noisy image, of the same height and width.
    """

    label: Int[Array, "batch"] | None = None
    image: Image | None = None
