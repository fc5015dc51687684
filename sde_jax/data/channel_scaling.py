"""The map between arrays of any numbers and model coordinates, channel by channel."""

import dataclasses
from typing import Annotated, Literal

import numpy as np

from sde_jax.arrays import Array, Float, PerExample
from sde_jax.validation import Rule, Spec

Numbers = Float[Array | np.ndarray, "batch *shape"]

_POSITIVE = Rule("be positive", lambda widths: all(width > 0 for width in widths))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChannelScaling(Spec):
    """Maps a value ``d`` of channel c, the last axis, to ``x = (f(d) - centers[c]) / widths[c]``.

    f is the identity, or the logarithm for ``log``. A channel of integers is dequantized: its value
    ``k`` becomes ``k + u``, ``u ~ U[0, 1)``, so that the density over its unit bin is the
    probability of k (Theis et al., arXiv:1511.01844, section 3.1). In nats,

    ::

        log p(d) = log p(x) - sum over coordinates of (log widths[c] + log d for logarithms)

    Both directions run on the host in float64: model coordinates are float32, and data may lie far
    from zero.

    Raises:
      ValueError: if the fields differ in length, a width is not positive, or integers have a
        logarithm.
    """

    centers: tuple[float, ...]
    """Center of each channel, after the logarithm."""
    widths: Annotated[tuple[float, ...], _POSITIVE]
    """Unit of each channel, after the logarithm."""
    log: bool = False
    """Scales the logarithm of the data."""
    integers: tuple[bool, ...] = ()
    """Channels of whole numbers; empty for none."""
    precision: Literal["float32", "float64"] = "float64"
    """Type of data that `to_unit` returns."""

    def __post_init__(self) -> None:
        super().__post_init__()
        lengths = {len(self.centers), len(self.widths), len(self.integers or self.centers)}
        if len(lengths) > 1:
            raise ValueError(f"`centers`, `widths` and `integers` must have one length: got {self}")
        if self.log and self.dequantized:
            raise ValueError("`log` does not apply to integers: use standardize or range")

    @property
    def dequantized(self) -> bool:
        """Says whether any channel has integers."""
        return any(self.integers)

    @property
    def in_bits(self) -> bool:
        """Says whether all channels have integers, whose probability is stated in bits."""
        return bool(self.integers) and all(self.integers)

    @property
    def steps(self) -> tuple[float, ...]:
        """Width of the noise of each channel in model coordinates; empty without integers."""
        return tuple(
            integer / width for integer, width in zip(self.integers, self.widths, strict=False)
        )

    def to_model(self, data: Numbers) -> np.ndarray:
        """Returns float32 model coordinates, of integers those of the lower end of their bin."""
        values = np.asarray(data, np.float64)
        values = np.log(values) if self.log else values
        return ((values - self.centers) / self.widths).astype(np.float32)

    def to_unit(self, x: Numbers) -> np.ndarray:
        """Inverts the scaling: ``exp`` after logarithms, ``floor`` of integers."""
        values = np.asarray(x, np.float64) * self.widths + self.centers
        if self.log:
            values = np.exp(values)
        if self.dequantized:
            values = np.where(self.integers, np.floor(values), values)
        return values.astype(self.precision)

    def log_slope(self, x: Numbers) -> PerExample | np.ndarray:
        """Returns ``log |dx / d data|`` of each example, in nats per dimension.

        Numpy and JAX arrays stay what they are, so that it can be differentiated.
        """
        constant = -float(np.mean(np.log(self.widths)))
        if not self.log:
            return np.full(len(x), constant)
        last = (*[1] * (x.ndim - 1), -1)
        centers, widths = (np.reshape(field, last) for field in (self.centers, self.widths))
        return constant - (x * widths + centers).reshape(len(x), -1).mean(axis=1)
