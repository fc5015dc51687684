"""Editing images by noising and denoising them: SDEdit, by any sampler."""

from dataclasses import dataclass

from sde_jax.arrays import Array, Float, Key, expand_like
from sde_jax.sampling.each import draw_each
from sde_jax.sampling.protocol import Sampler, Samples
from sde_jax.score import Score
from sde_jax.sde import Beginning, LinearSDE
from sde_jax.sde.base import Time


@dataclass(frozen=True, kw_only=True)
class Edit:
    """Noises a guide g to time t0 and samples from there (Meng et al. 2022, arXiv:2108.01073).

    The state at t0 is ``alpha g + sigma noise``, with noise of deviation ``sigma(t0)`` for every
    SDE. The SDE is linear: if x solves it, then so does ``z = x - alpha(t) g``, for data that are
    less by g and with the score ``score(z + alpha(t) g, t)``. What is drawn is z, by ordinary
    sampling of the process' `Beginning` until t0, so that the sampler needs not know; then
    ``x_0 = z_0 + g``. The sampler's own times, such as ``t_min``, are shares of t0.

    The larger t0, the more realistic and the less faithful is the result; at 1 little more than
    nothing is left of the guide.

    Raises:
      ValueError: unless ``start`` is in (0, 1], or if the sampler does not end with the posterior
        mean of the data, or keeps frames; when called, if sampling ``sde`` ends before ``start``.
    """

    sampler: Sampler
    start: float
    """The time t0; .3 to .6 is usual."""

    def __post_init__(self) -> None:
        if not 0 < self.start <= 1:
            raise ValueError(f"`start` must be in (0, 1]: got start={self.start}.")
        denoises = getattr(self.sampler, "end", "denoised") == "denoised"
        if not (denoises and getattr(self.sampler, "denoise", True)):
            raise ValueError(
                f"`sampler` must end with the posterior mean, to which the guide is added: got "
                f"{self.sampler}. end='denoised' or denoise=True does it."
            )
        frames = getattr(self.sampler, "frames", 0)
        if frames:
            raise ValueError(f"`sampler` must keep no frames: got frames={frames}.")

    def __call__(
        self,
        keys: Key[Array, "batch"],
        score: Score,
        sde: LinearSDE,
        guides: Float[Array, "batch *shape"],
    ) -> Samples:
        """Draws one edit for each key and guide, in model coordinates."""
        beginning = Beginning(sde=sde, end=self.start)

        def draw(key: Key[Array, "1"], guide: Float[Array, "1 *shape"]) -> Samples:
            def shifted(x: Float[Array, "1 *shape"], t: Time) -> Float[Array, "1 *shape"]:
                carried = expand_like(beginning.alpha(t), x) * guide
                return score(x + carried, self.start * t)

            samples = self.sampler(key, shifted, beginning, guide.shape[1:])
            return samples._replace(x=samples.x + guide)

        return draw_each(draw, keys, guides)
