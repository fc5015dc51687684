"""Image editing by noising and denoising (SDEdit), with any sampler."""

from dataclasses import dataclass

import jax

from sde_jax.arrays import Array, Examples, Float, Key, Keys, as_examples, expand_like
from sde_jax.randomness import each_key
from sde_jax.sampling.each import draw_each
from sde_jax.sampling.protocol import Sampler, Samples
from sde_jax.score import Score
from sde_jax.sde import LinearSDE, TruncatedSDE
from sde_jax.sde.base import Time
from sde_jax.validation import AboveZero, Spec

Guide = Float[Array, "1 *shape"]


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
        ``sde``, and there is one key for each guide.
    """

    sampler: Sampler
    start: AboveZero
    """The time t0; .3 to .6 is usual."""

    def __post_init__(self) -> None:
        super().__post_init__()
        usual = {"end": "denoised", "denoise": True, "ending": None}
        if any(getattr(self.sampler, name, value) != value for name, value in usual.items()):
            raise ValueError(
                f"`sampler` must end with the posterior mean, to which the guide is added: got "
                f"{self.sampler}. Set end='denoised', or denoise=True and ending=None."
            )
        frames = getattr(self.sampler, "frames", 0)
        if frames:
            raise ValueError(f"`sampler` must not record frames: got frames={frames}.")

    def __call__(self, keys: Keys, score: Score, sde: LinearSDE, guides: Examples) -> Samples:
        """Draws one edit per key and guide, in model coordinates."""
        truncated = TruncatedSDE(sde=sde, end=self.start)
        guides = as_examples("guides", guides)

        def shifted(score: Score, guide: Guide, x: Guide, t: Time) -> Guide:
            carried = expand_like(truncated.alpha(t), x) * guide
            return score(x + carried, self.start * t)

        def draw(key: Key[Array, "1"], guide: Guide) -> Samples:
            of_guide = jax.tree_util.Partial(shifted, score, guide)
            samples = self.sampler(key, of_guide, truncated, guide.shape[1:])
            return samples._replace(x=samples.x + guide)

        return draw_each(draw, each_key(keys, len(guides)), guides)
