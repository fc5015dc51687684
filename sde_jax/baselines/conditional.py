"""Score models of images given degraded images, with a regression to compare."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from sde_jax.arrays import Array, Image, Key, Keys, PerExample, PRNGKeyArray, PyTree
from sde_jax.data.degradation import Degradation
from sde_jax.initialization import apply
from sde_jax.nets.condition import Condition
from sde_jax.objectives import DenoisingScoreMatching
from sde_jax.randomness import Seeds
from sde_jax.sampling import Sampler, Samples, draw_each
from sde_jax.score import NetworkScore, ScoreModel


@dataclass(frozen=True, kw_only=True)
class ConditionalDiffusion:
    """A score model of x given y, and a network of the same architecture that regresses x on y.

    y is a deterministic function of x, such as x in grey. The score network takes y as
    ``condition.image`` and learns ``grad log p_t(x_t | y)`` by denoising score matching (Saharia et
    al. 2021, arXiv:2104.07636). Its samples are draws from p(x | y). The regression is the same
    network at ``x = 0, time = 0``. Its squared error is minimized by E[x | y], the mean over these
    draws, which is typically blurred.

    The parameters are a dictionary with keys ``score`` and ``regression``.
    """

    objective: DenoisingScoreMatching
    degradation: Degradation
    """The map from x to y."""

    @property
    def model(self) -> ScoreModel:
        """The score model, which interprets the network's output."""
        return self.objective.model

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> PyTree:
        """Returns initial parameters of both networks for examples of ``shape``."""
        y = jax.eval_shape(self.degradation, jax.ShapeDtypeStruct((1, *shape), jnp.float32))
        names = zip(("score", "regression"), jax.random.split(key), strict=True)
        return {name: self.model.init(key, shape, Condition(image=y)) for name, key in names}

    def losses(
        self, params: PyTree, seeds: Seeds, x: Image, *, deterministic: bool = False
    ) -> PerExample:
        """Returns the sum of the score's loss and the regression's mean squared error.

        The two networks share no parameters. See `DenoisingScoreMatching.losses` for the arguments.
        """
        seeds_score, seeds_dropout = seeds.split()
        y = self.degradation(x)
        score = self.objective.losses(
            params["score"], seeds_score, x, Condition(image=y), deterministic=deterministic
        )
        dropout_key = seeds_dropout.dropout_key(deterministic=deterministic)
        error = self.regress(params, y, x.shape[-1], dropout_key=dropout_key) - x
        return score + (error**2).reshape(len(x), -1).mean(axis=1)

    def regress(
        self, params: PyTree, y: Image, channels: int, *, dropout_key: PRNGKeyArray | None = None
    ) -> Image:
        """Returns the regression's estimate of E[x | y], an image with ``channels`` channels."""
        x, time = jnp.zeros((*y.shape[:3], channels), y.dtype), jnp.zeros(len(y))
        inputs, own = (x, time, Condition(image=y)), params["regression"]
        return jnp.asarray(apply(self.model.network, own, *inputs, dropout_key=dropout_key))

    def sample(
        self, params: PyTree, keys: Keys, y: Image, sampler: Sampler, channels: int
    ) -> Samples:
        """Draws one sample from p(x | y) for each key and image y."""

        def draw(key: Key[Array, "1"], y: Image) -> Samples:
            score = NetworkScore(params["score"], self.model, Condition(image=y))
            return sampler(key, score, self.model.sde, (*y.shape[1:3], channels))

        return draw_each(draw, keys, y)
