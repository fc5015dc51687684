"""Score models of images given other images, beside networks that regress on them."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Float, Key, PRNGKeyArray, PyTree
from sde_jax.data.degradation import Degradation
from sde_jax.initialization import initialize
from sde_jax.nets.condition import Condition
from sde_jax.objectives import DenoisingScoreMatching
from sde_jax.randomness import Seeds
from sde_jax.sampling import Sampler, Samples, draw_each
from sde_jax.score import NetworkScore, ScoreModel

__all__ = ["ConditionalDiffusion"]

Image = Float[Array, "batch height width channels"]


@dataclass(frozen=True, kw_only=True)
class ConditionalDiffusion:
    """A score model of x given y, and a network of the same shape that regresses x on y.

    y is a deterministic function of x, such as x in grey. The score's network is told y in
    ``condition.image`` and learns ``grad log p_t(x_t | y)`` by denoising score matching (Saharia et
    al. 2021, arXiv:2104.07636): its samples are draws from p(x | y), of which there are many. The
    regression, the same network at ``x = 0, time = 0``, has E[x | y] as the minimizer of its
    squared error, which is one image, the mean of all answers, and no answer itself.

    Parameters are a dictionary of ``score`` and ``regression``.
    """

    objective: DenoisingScoreMatching
    given: Degradation

    @property
    def model(self) -> ScoreModel:
        """How the score's network is read."""
        return self.objective.model

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> PyTree:
        """Initial parameters of both networks, for examples of ``shape``."""
        key_score, key_regression = jax.random.split(key)
        x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        y = jax.eval_shape(self.given, x)
        time, condition = jax.ShapeDtypeStruct((1,), jnp.float32), Condition(image=y)
        return {
            name: initialize(self.model.network, key, x, time, condition, deterministic=True)
            for name, key in (("score", key_score), ("regression", key_regression))
        }

    def losses(
        self,
        params: PyTree,
        seeds: Seeds,
        x: Image,
        *,
        deterministic: bool = False,
    ) -> Float[Array, "batch"]:
        """Returns each example's loss of the score plus its squared error of the regression.

        The error is the mean over dimensions. The two networks share no parameter. See
        `DenoisingScoreMatching.losses` for the arguments.
        """
        seeds_score, seeds_dropout = seeds.split()
        y = self.given(x)
        score = self.objective.losses(
            params["score"], seeds_score, x, Condition(image=y), deterministic=deterministic
        )
        dropout_key = seeds_dropout.dropout_key(deterministic=deterministic)
        error = self.regress(params, y, x.shape[-1], dropout_key=dropout_key) - x
        return score + (error**2).reshape(len(x), -1).mean(axis=1)

    def regress(
        self, params: PyTree, y: Image, channels: int, *, dropout_key: PRNGKeyArray | None = None
    ) -> Image:
        """What the regression makes of ``y``: an image of ``channels``, about E[x | y]."""
        rngs = None if dropout_key is None else {"dropout": dropout_key}
        output = self.model.network.apply(
            {"params": params["regression"]},
            jnp.zeros((*y.shape[:3], channels), y.dtype),
            jnp.zeros(len(y)),
            Condition(image=y),
            deterministic=rngs is None,
            rngs=rngs,
        )
        return jnp.asarray(output)

    def sample(
        self, params: PyTree, keys: Key[Array, "batch"], y: Image, sampler: Sampler, channels: int
    ) -> Samples:
        """One draw from p(x | y) for each key and image, by any sampler."""

        def draw(key: Key[Array, "1"], y: Image) -> Samples:
            score = NetworkScore(params["score"], self.model, Condition(image=y))
            return sampler(key, score, self.model.sde, (*y.shape[1:3], channels))

        return draw_each(draw, keys, y)
