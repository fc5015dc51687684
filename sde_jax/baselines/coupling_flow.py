"""RealNVP, a normalizing flow of affine couplings (Dinh et al. 2017, arXiv:1605.08803)."""

import functools
import math
from dataclasses import dataclass
from typing import Annotated

import jax
import jax.numpy as jnp

from sde_jax.arrays import Examples, Keys, PerExample, PRNGKeyArray, PyTree, sum_except_batch
from sde_jax.baselines.checks import check_image
from sde_jax.baselines.coupling_layers import (
    AffineCoupling,
    Mask,
    Subnetwork,
    channel_mask,
    checkerboard_mask,
    from_logits,
    squeeze,
    to_logits,
    unsqueeze,
)
from sde_jax.initialization import initialize
from sde_jax.likelihood import LogLikelihoods
from sde_jax.nets.spec import NetworkModule
from sde_jax.randomness import Seeds, unit_noise
from sde_jax.sampling import Samples
from sde_jax.validation import Depth, GroupWidth, Rule, Spec, at_least, at_most

_MARGIN = Rule("lie in (0, 0.5), or be None for no transform", lambda margin: 0 < margin < 0.5)


@dataclass(frozen=True, kw_only=True)
class CouplingFlowSpec(Spec):
    """Hyperparameters of a `RealNVP`; points need ``scales=1`` and ``logit_margin=None``.

    Raises:
      ValueError: if a field is out of range.
    """

    width: GroupWidth = 32
    """Channels of the hidden layers of each coupling."""
    depth: Depth = 2
    """Residual blocks of each coupling, or hidden layers for points; at least 1."""
    couplings: Annotated[int, at_least(2), at_most(64)] = 4
    """Couplings with one mask at one scale, of alternating parity; at least 2."""
    scales: Annotated[int, at_least(1), at_most(16)] = 2
    """Number of image sizes; between two of them, half of the squeezed image is factored out."""
    logit_margin: Annotated[float | None, _MARGIN] = 0.05
    """Margin of `to_logits`, for images in [-1, 1]; None disables the transform."""

    def build(self) -> "RealNVP":
        """Builds the flow."""
        return RealNVP(self)

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raises `ValueError` unless the flow applies to examples of ``shape``.

        These are images that the scales can halve, or points without scales and logit.
        """
        if len(shape) not in (1, 3):
            raise ValueError(
                "a coupling flow takes points or images (height, width, channels): got examples of "
                f"shape {shape}."
            )
        if len(shape) == 3:
            check_image(shape, self.scales - 1, "scales")
        elif self.scales > 1:
            raise ValueError(f"`scales` must be 1 for points: got {self.scales}.")
        elif self.logit_margin is not None:
            raise ValueError(f"`logit_margin` must be None for points: got {self.logit_margin}.")


class RealNVP(NetworkModule):
    """An invertible map between examples and standard normal latents of the same shape.

    The first step is `to_logits`. Each scale then has couplings with checkerboard masks and, except
    the last, a `squeeze`, couplings with channel masks, and a split whose second half of the
    channels are latents (eq. 14). Latents keep the position of their pixels. At initialization,
    everything except the logit is the identity.

    A round trip is exact up to rounding if both directions run at the same, full precision. At
    lower precision, rounding of the input changes the subnetworks' products. Float32 resolves fewer
    digits of latents that the logit maps close to the ends of the range of ``x``. Only the
    subnetworks compute in ``dtype``; everything else is float32.

    Raises:
      ValueError: if the flow does not apply to the examples; see `CouplingFlowSpec.check_shape`.
    """

    spec: CouplingFlowSpec

    def setup(self) -> None:
        self.pixels = [self._couplings(checkerboard_mask) for _ in range(self.spec.scales)]
        self.channels = [self._couplings(channel_mask) for _ in range(self.spec.scales - 1)]

    def _couplings(self, mask: Mask) -> list[AffineCoupling]:
        subnetwork = functools.partial(
            Subnetwork,
            width=self.spec.width,
            depth=self.spec.depth,
            **self.numerics,
        )
        numbers = range(self.spec.couplings)
        return [AffineCoupling(mask, number % 2, subnetwork) for number in numbers]

    def forward(self, x: Examples) -> tuple[Examples, PerExample]:
        """Returns the latents ``z`` of ``x`` and ``log |dz / dx|`` of each example."""
        self.spec.check_shape(x.shape[1:])
        if self.spec.logit_margin is None:
            return self._forward(x, 0)
        logits, logit_det = to_logits(x, self.spec.logit_margin)
        z, log_det = self._forward(logits, 0)
        return z, logit_det + log_det

    def inverse(self, z: Examples) -> Examples:
        """Returns the examples whose latents are ``z``."""
        self.spec.check_shape(z.shape[1:])
        x = self._inverse(z, 0)
        return x if self.spec.logit_margin is None else from_logits(x, self.spec.logit_margin)

    def _forward(self, x: Examples, scale: int) -> tuple[Examples, PerExample]:
        """Applies ``scale`` and all that follow."""
        x, log_det = apply_couplings(self.pixels[scale], x)
        if scale == len(self.channels):
            return x, log_det
        x, channel_det = apply_couplings(self.channels[scale], squeeze(x))
        rest, latents = jnp.split(x, 2, axis=-1)
        rest, rest_det = self._forward(rest, scale + 1)
        z = unsqueeze(jnp.concatenate([rest, latents], axis=-1))
        return z, log_det + channel_det + rest_det

    def _inverse(self, z: Examples, scale: int) -> Examples:
        """Inverts `_forward`."""
        if scale < len(self.channels):
            rest, latents = jnp.split(squeeze(z), 2, axis=-1)
            x = jnp.concatenate([self._inverse(rest, scale + 1), latents], axis=-1)
            z = unsqueeze(invert_couplings(self.channels[scale], x))
        return invert_couplings(self.pixels[scale], z)


def apply_couplings(
    couplings: list[AffineCoupling], x: Examples, condition: Examples | None = None
) -> tuple[Examples, PerExample]:
    """Returns the composition of the couplings at ``x`` and its log-determinant."""
    log_det = jnp.zeros(x.shape[:1])
    for coupling in couplings:
        x, added = coupling.forward(x, condition)
        log_det = log_det + added
    return x, log_det


def invert_couplings(couplings: list[AffineCoupling], x: Examples) -> Examples:
    """Inverts `apply_couplings`."""
    for coupling in reversed(couplings):
        x = coupling.inverse(x)
    return x


@dataclass(frozen=True, kw_only=True)
class CouplingFlow:
    """The density ``log p(x) = log N(z; 0, I) + log |dz / dx|`` (eqs. 2 and 3), ``z = flow(x)``.

    The model is hashable and can be static under `jax.jit`; parameters are passed separately.
    """

    flow: RealNVP

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> PyTree:
        """Returns initial parameters for examples of ``shape`` without running the flow."""
        x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        return initialize(self.flow, key, x, method="forward")

    def losses(
        self, params: PyTree, seeds: Seeds, x: Examples, *, deterministic: bool = False
    ) -> PerExample:
        """Returns ``-log p(x) / D`` of each example, in nats per dimension of model coordinates.

        Args:
          params: the flow's parameters.
          seeds: ignored, as the loss is deterministic.
          x: examples, in model coordinates.
          deterministic: ignored.
        """
        return -self._log_density(params, x) / math.prod(x.shape[1:])

    def sample(self, params: PyTree, keys: Keys, shape: tuple[int, ...]) -> Samples:
        """Draws one sample of ``shape`` for each key, at the highest matmul precision.

        With a logit, samples may exceed [-1, 1]; see `from_logits`. Each takes one evaluation. A
        sample that is not finite has not converged.
        """
        z = unit_noise(keys, shape)
        with jax.default_matmul_precision("highest"):
            x = jnp.asarray(self.flow.apply({"params": params}, z, method="inverse"))
        finite = jnp.isfinite(x).reshape(len(x), -1).all(axis=1)
        return Samples(x, jnp.ones(keys.shape, jnp.int32), finite)

    def log_likelihoods(self, params: PyTree, keys: Keys, x: Examples) -> LogLikelihoods:
        """Returns exact log densities in nats, in model coordinates, at the highest precision.

        The keys are ignored. Each takes one evaluation. A value that is not finite has not
        converged, such as that of an image outside the range of `from_logits`.
        """
        with jax.default_matmul_precision("highest"):
            nats = self._log_density(params, x)
        evaluations = jnp.ones(nats.shape, jnp.int32)
        return LogLikelihoods(nats, jnp.zeros_like(nats), evaluations, jnp.isfinite(nats))

    def _log_density(self, params: PyTree, x: Examples) -> PerExample:
        z, log_det = self.flow.apply({"params": params}, x, method="forward")
        return sum_except_batch(jax.scipy.stats.norm.logpdf(z)) + jnp.asarray(log_det)
