"""Image editing by noising and denoising (SDEdit), with any sampler."""

from dataclasses import dataclass

from sde_jax.arrays import Array, Examples, Float, Key, Keys, expand_like
from sde_jax.sampling.each import draw_each
from sde_jax.sampling.protocol import Sampler, Samples
from sde_jax.score import Score
from sde_jax.sde import LinearSDE, TruncatedSDE
from sde_jax.sde.base import Time
from sde_jax.validation import AboveZero, Spec


@dataclass(frozen=True, kw_only=True)
class Edit(Spec):
    """Noises a guide g to time t0 and samples from there (Meng et al. 2022, arXiv:2108.01073).

    The state at t0 is ``alpha g + sigma noise``, with noise of deviation ``sigma(t0)`` for every
    SDE. For a linear SDE, ``z = x - alpha(t) g`` follows the same SDE, with data shifted by -g and
    the score ``score(z + alpha(t) g, t)``. The wrapped sampler draws z from the `TruncatedSDE` that
    ends at t0; the result is ``x_0 = z_0 + g``. The sampler's own times, such as ``t_min``, are
    fractions of t0.

    A larger t0 gives more realistic and less faithful results; at 1 hardly anything of the guide
    remains.

    Raises:
      ValueError: if the sampler does not end with the posterior
        mean, or records frames; when called, unless ``start`` is above the end of sampling of
        ``sde``.
    """

    sampler: Sampler
    start: AboveZero
    """The time t0; .3 to .6 is usual."""

    def __post_init__(self) -> None:
        super().__post_init__()
        denoises = getattr(self.sampler, "end", "denoised") == "denoised"
        if not (denoises and getattr(self.sampler, "denoise", True)):
            raise ValueError(
                f"`sampler` must end with the posterior mean, to which the guide is added: got "
                f"{self.sampler}. Set end='denoised' or denoise=True."
            )
        frames = getattr(self.sampler, "frames", 0)
        if frames:
            raise ValueError(f"`sampler` must not record frames: got frames={frames}.")

    def __call__(self, keys: Keys, score: Score, sde: LinearSDE, guides: Examples) -> Samples:
        """Draws one edit per key and guide, in model coordinates."""
        truncated = TruncatedSDE(sde=sde, end=self.start)

        def draw(key: Key[Array, "1"], guide: Float[Array, "1 *shape"]) -> Samples:
            def shifted(x: Float[Array, "1 *shape"], t: Time) -> Float[Array, "1 *shape"]:
                carried = expand_like(truncated.alpha(t), x) * guide
                return score(x + carried, self.start * t)

            samples = self.sampler(key, shifted, truncated, guide.shape[1:])
            return samples._replace(x=samples.x + guide)

        return draw_each(draw, keys, guides)
