"""RealNVP, a normalizing flow of affine couplings (Dinh et al. 2017, arXiv:1605.08803)."""

import math
from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import PrecisionLike
from jax.typing import DTypeLike

from sde_jax.arrays import Array, Float, Key, PRNGKeyArray, PyTree, sum_except_batch
from sde_jax.baselines.coupling_layers import (
    AffineCoupling,
    Mask,
    channel_mask,
    checkerboard_mask,
    from_logits,
    squeeze,
    to_logits,
    unsqueeze,
)
from sde_jax.initialization import initialize
from sde_jax.likelihood import LogLikelihoods
from sde_jax.randomness import Seeds, unit_noise
from sde_jax.sampling import Samples

__all__ = ["CouplingFlow", "CouplingFlowSpec", "RealNVP"]


@dataclass(frozen=True, kw_only=True)
class CouplingFlowSpec:
    """The shape of a `RealNVP`; points need ``scales=1`` and ``logit_margin=None``."""

    width: int = 32
    """Channels of the hidden layers of each coupling."""
    depth: int = 2
    """Residual blocks of each coupling, or hidden layers for points."""
    couplings: int = 4
    """Couplings with one kind of mask at one scale, whose halves take turns."""
    scales: int = 2
    """Sizes of the image: before each but the first it is squeezed and half of it factored out."""
    logit_margin: float | None = 0.05
    """The alpha of `to_logits`, for images in [-1, 1]; None for no such transform."""

    def __post_init__(self) -> None:
        for field, least in (("depth", 1), ("couplings", 2), ("scales", 1)):
            if getattr(self, field) < least:
                raise ValueError(f"`{field}` must be at least {least}: got {getattr(self, field)}.")
        if self.width < 4 or self.width % 4:
            raise ValueError(
                f"`width` must be a multiple of 4, which are normalized together: got {self.width}."
            )
        if self.logit_margin is not None and not 0 < self.logit_margin < 0.5:
            raise ValueError(
                "`logit_margin` must lie in (0, 0.5), or be None for no logit: got "
                f"{self.logit_margin}."
            )

    def build(self) -> "RealNVP":
        """The flow of this shape."""
        return RealNVP(self)

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Refuses examples that are neither points nor images of a size that the scales can halve.

        Raises:
          ValueError: for these, and for points with more than one scale or a logit.
        """
        if len(shape) not in (1, 3):
            raise ValueError(
                "a coupling flow takes points or images (height, width, channels): got examples of "
                f"shape {shape}."
            )
        if len(shape) == 1 and self.scales > 1:
            raise ValueError(f"`scales` must be 1 for points: got {self.scales}.")
        if len(shape) == 1 and self.logit_margin is not None:
            raise ValueError(f"`logit_margin` must be None for points: got {self.logit_margin}.")
        divisor = 2 ** (self.scales - 1)
        if len(shape) == 3 and (shape[0] % divisor or shape[1] % divisor):
            raise ValueError(
                f"`scales` = {self.scales} needs a height and width that {divisor} divides: got "
                f"images of {shape[0]}x{shape[1]}."
            )


class RealNVP(nn.Module):
    """An invertible map between examples and standard normal latents of the same shape.

    `to_logits`, then at each scale but the last couplings with checkerboard masks, a `squeeze`,
    couplings with channel masks, and the second half of the channels factored out as latents (eq.
    14); at the last scale couplings with checkerboard masks. Latents stand where their pixels are.
    At initialization, all but the logit is the identity.

    A round trip is as exact as rounding permits, if both ways run at the same, full precision: at a
    lower one a rounding error of the input changes the products by as much as theirs. Of latents
    that a logit brings to the ends of the range of ``x``, float32 keeps fewer digits.

    Attributes:
      spec: the shape of the flow.
      dtype: type of the inside of the subnetworks; parameters and all else are float32.
      precision: precision of every product; None follows ``jax.default_matmul_precision``.

    Raises:
      ValueError: of examples that the spec's ``check_shape`` refuses.
    """

    spec: CouplingFlowSpec
    dtype: DTypeLike = jnp.float32
    precision: PrecisionLike = None

    def setup(self) -> None:
        self.pixels = [self._couplings(checkerboard_mask) for _ in range(self.spec.scales)]
        self.channels = [self._couplings(channel_mask) for _ in range(self.spec.scales - 1)]

    def _couplings(self, mask: Mask) -> list[AffineCoupling]:
        spec, options = self.spec, (self.dtype, self.precision)
        return [
            AffineCoupling(mask, number % 2, spec.width, spec.depth, *options)
            for number in range(spec.couplings)
        ]

    def forward(
        self, x: Float[Array, "batch *shape"]
    ) -> tuple[Float[Array, "batch *shape"], Float[Array, "batch"]]:
        """The latents ``z`` of ``x`` and ``log |dz / dx|`` of each example."""
        self.spec.check_shape(x.shape[1:])
        z, log_det = x, jnp.zeros(x.shape[:1])
        if self.spec.logit_margin is not None:
            z, log_det = to_logits(x, self.spec.logit_margin)
        factored: list[Array] = []
        for pixels, channels in zip(self.pixels[:-1], self.channels, strict=True):
            z, added = through(pixels, z)
            z, more = through(channels, squeeze(z))
            log_det = log_det + added + more
            z, latents = jnp.split(z, 2, axis=-1)
            factored.append(latents)
        z, added = through(self.pixels[-1], z)
        for latents in reversed(factored):
            z = unsqueeze(jnp.concatenate([z, latents], axis=-1))
        return z, log_det + added

    def inverse(self, z: Float[Array, "batch *shape"]) -> Float[Array, "batch *shape"]:
        """The examples that ``z`` are the latents of."""
        self.spec.check_shape(z.shape[1:])
        x, factored = z, []
        for _ in self.channels:
            x, latents = jnp.split(squeeze(x), 2, axis=-1)
            factored.append(latents)
        x = back_through(self.pixels[-1], x)
        scales = list(zip(self.pixels[:-1], self.channels, factored, strict=True))
        for pixels, channels, latents in reversed(scales):
            x = back_through(channels, jnp.concatenate([x, latents], axis=-1))
            x = back_through(pixels, unsqueeze(x))
        return x if self.spec.logit_margin is None else from_logits(x, self.spec.logit_margin)


def through(
    couplings: list[AffineCoupling], x: Float[Array, "batch *shape"]
) -> tuple[Float[Array, "batch *shape"], Float[Array, "batch"]]:
    """``x`` changed by one coupling after the other, and the log-determinant of them all."""
    log_det = jnp.zeros(x.shape[:1])
    for coupling in couplings:
        x, added = coupling.forward(x)
        log_det = log_det + added
    return x, log_det


def back_through(
    couplings: list[AffineCoupling], x: Float[Array, "batch *shape"]
) -> Float[Array, "batch *shape"]:
    """The inverse of `through`."""
    for coupling in reversed(couplings):
        x = coupling.inverse(x)
    return x


@dataclass(frozen=True, kw_only=True)
class CouplingFlow:
    """The density ``log p(x) = log N(z; 0, I) + log |dz / dx|`` (eqs. 2 and 3), ``z = flow(x)``.

    Hashable, so that it can be static under `jax.jit`; its parameters are apart.
    """

    flow: RealNVP

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> PyTree:
        """Initial parameters, for examples of ``shape``; the flow is not run for them."""
        x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        return initialize(self.flow, key, x, method="forward")

    def losses(
        self,
        params: PyTree,
        seeds: Seeds,
        x: Float[Array, "batch *shape"],
        *,
        deterministic: bool = False,
    ) -> Float[Array, "batch"]:
        """Returns each example's ``-log p(x) / D``, in nats per dimension of model coordinates.

        Args:
          params: the flow's parameters.
          seeds: not used: nothing is random.
          x: examples, in model coordinates.
          deterministic: changes nothing.
        """
        return -self._log_density(params, x) / math.prod(x.shape[1:])

    def sample(self, params: PyTree, keys: Key[Array, "batch"], shape: tuple[int, ...]) -> Samples:
        """Samples of ``shape``, each of its own key's noise, at the highest matmul precision.

        With a logit they may exceed [-1, 1], see `from_logits`. One evaluation each; one that is
        not finite has not converged.
        """
        z = unit_noise(keys, shape)
        with jax.default_matmul_precision("highest"):
            x = jnp.asarray(self.flow.apply({"params": params}, z, method="inverse"))
        finite = jnp.isfinite(x).reshape(len(x), -1).all(axis=1)
        return Samples(x, jnp.ones(keys.shape, jnp.int32), finite)

    def log_likelihoods(
        self, params: PyTree, keys: Key[Array, "batch"], x: Float[Array, "batch *shape"]
    ) -> LogLikelihoods:
        """Exact log densities, in nats of model coordinates, at the highest matmul precision.

        The keys are not used. One evaluation each; one that is not finite has not converged, such
        as that of an image beyond what `from_logits` gives.
        """
        with jax.default_matmul_precision("highest"):
            nats = self._log_density(params, x)
        evaluations = jnp.ones(nats.shape, jnp.int32)
        return LogLikelihoods(nats, jnp.zeros_like(nats), evaluations, jnp.isfinite(nats))

    def _log_density(self, params: PyTree, x: Array) -> Float[Array, "batch"]:
        z, log_det = self.flow.apply({"params": params}, x, method="forward")
        return sum_except_batch(jax.scipy.stats.norm.logpdf(z)) + jnp.asarray(log_det)
