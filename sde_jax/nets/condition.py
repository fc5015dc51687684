"""Conditioning inputs of networks."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple, Self

import numpy as np

from sde_jax.arrays import Array, Float, Image, Int
from sde_jax.validation import Rule, Spec, require

LONGEST_VECTOR = 4096
"""Largest size of a conditioning vector, whose standardization a configuration stores."""

_ENTRIES = Rule(
    f"have 1 to {LONGEST_VECTOR} numbers", lambda values: 1 <= len(values) <= LONGEST_VECTOR
)
_POSITIVE = Rule("be positive", lambda values: min(values) > 0)


class Condition(NamedTuple):
    """A class label, a conditioning image, a vector, some of them, or none.

    Attributes:
      label: class in ``[0, classes)`` of each example; -1 for an example without a label.
      image: channels concatenated to the noisy image, of the same height and width.
      vector: numbers such as the parameters of a simulation, in their own units; an example with a
        NaN has none.
    """

    label: Int[Array, "batch"] | None = None
    image: Image | None = None
    vector: Float[Array, "batch size"] | None = None


@dataclass(frozen=True, kw_only=True)
class VectorStandardization(Spec):
    """The size of a conditioning vector, and the scale of its entries in the training data.

    Networks see ``(vector - mean) / deviation``.
    """

    mean: Annotated[tuple[float, ...], _ENTRIES]
    """Mean of each entry."""
    deviation: Annotated[tuple[float, ...], _ENTRIES, _POSITIVE]
    """Standard deviation of each entry."""

    def __post_init__(self) -> None:
        super().__post_init__()
        alike = len(self.mean) == len(self.deviation)
        require(self, "deviation mean", alike, "have as many numbers as `mean`")

    @classmethod
    def of(cls, vectors: np.ndarray) -> Self:
        """Measures ``[count, size]`` training vectors; a constant entry gets deviation 1.

        Raises:
          ValueError: if they are no such array of finite numbers.
        """
        vectors = np.asarray(vectors, np.float64)
        if vectors.ndim != 2 or not vectors.size or not np.isfinite(vectors).all():
            raise ValueError(
                "conditioning vectors must be finite numbers [count, size]: got shape "
                f"{vectors.shape} with {np.count_nonzero(~np.isfinite(vectors))} that are not."
            )
        mean, deviation = vectors.mean(axis=0), vectors.std(axis=0)
        deviation = np.where(deviation > 0, deviation, 1.0)
        return cls(mean=tuple(mean.tolist()), deviation=tuple(deviation.tolist()))

    @property
    def size(self) -> int:
        """Number of entries."""
        return len(self.mean)
