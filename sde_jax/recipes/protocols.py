"""Protocols by which likelihoods of a score model are measured."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp

from sde_jax import likelihood as likelihoods
from sde_jax.arrays import Array, Examples, Keys, PRNGKeyArray, PyTree
from sde_jax.data.scaling import ImageScaling, Scaling
from sde_jax.memory import check_fits, size_of
from sde_jax.recipes.interfaces import Density
from sde_jax.recipes.likelihood_settings import LikelihoodSettings, by_flow
from sde_jax.score import Score
from sde_jax.sde import DDPMChain, LinearSDE

Flow: TypeAlias = "likelihoods.Likelihood | likelihoods.MultistepLikelihood"

Measure = Callable[[Keys, Score, LinearSDE, Examples], "likelihoods.LogLikelihoods"]
"""Measures examples under a score, as `Likelihood` does."""


def flow_density(
    score: Callable[..., Score],
    sde: LinearSDE,
    measure: Callable[[Keys, Score, LinearSDE, Examples], Any],
    probes: int = 1,
) -> Callable[..., Any]:
    """Returns the density, by ``measure``, of the score of its parameters and, for a conditional
    one, of the condition of each example."""

    def density(params: PyTree, keys: Keys, x: Examples, condition: PyTree | None = None) -> Any:
        check_fits(probes * size_of(x), f"`probes`={probes:,} of {len(x):,} examples at once")
        if condition is None:
            return measure(keys, score(params), sde, x)

        def one(key: PRNGKeyArray, x: Array, condition: PyTree) -> Any:
            """Measures a batch of one, since solvers do not pass the index of an example."""
            own = jax.tree.map(lambda row: row[None], condition)
            found = measure(key[None], score(params, own), sde, x[None])
            return jax.tree.map(lambda row: row[0], found)

        return jax.vmap(one)(keys, x, condition)

    return density


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A protocol applied to a process and its data.

    Raises:
      ValueError: if the protocol does not suit them.
    """

    settings: LikelihoodSettings
    sde: LinearSDE
    scaling: Scaling
    dequantized: bool
    """Whether the model was trained on dequantized data."""
    noise_levels: DDPMChain | None = None
    """The chain of the model's training, if there is one."""
    dequantizer: "Callable[..., likelihoods.Dequantizer] | None" = None
    """Builds the dequantizer of the variational protocol for bins of a ``half_width``."""

    def __post_init__(self) -> None:
        protocol, samples = self.settings.protocol, self.settings.samples
        of_levels = by_flow(self.settings) and (protocol != "uniform" or samples > 1)
        if of_levels and not isinstance(self.scaling, ImageScaling):
            raise ValueError(
                "continuous data have a density but no grey levels whose probability could be "
                f"bounded: got protocol={protocol}, samples={samples}. Use uniform with one sample "
                "or score-bound."
            )
        if protocol == "truncated" and self.dequantized:
            raise ValueError(
                "`protocol` truncated measures models of undequantized levels, and this one was "
                "trained with `data.dequantize`: use uniform, or train without it."
            )
        middle = jnp.asarray(0.5)
        preserved = abs(self.sde.alpha(middle) ** 2 + self.sde.sigma(middle) ** 2 - 1) < 1e-4
        if protocol == "ddpm-bound" and not preserved:
            name = type(self.sde).__name__
            raise ValueError(
                f"`protocol` ddpm-bound needs a process that preserves variance: got {name}."
            )
        if not by_flow(self.settings) and self.discrete and not self._grey.centered:
            raise ValueError(
                f"`protocol` {protocol} needs grey levels in [-1, 1]: this model was trained with "
                "`data.centered` off."
            )

    @property
    def discrete(self) -> bool:
        """Says whether the result bounds the probability of grey levels."""
        if self.settings.protocol == "variational":
            return True
        if self.settings.protocol == "uniform":
            return self.settings.samples > 1
        return isinstance(self.scaling, ImageScaling) and not self.dequantized

    @property
    def measures(self) -> str:
        """Names what the result is."""
        if self.discrete:
            return "bound on the probability of grey levels"
        data = "dequantized data" if self.scaling.dequantized else "the data"
        return f"{'density' if by_flow(self.settings) else 'bound on the density'} of {data}"

    @property
    def start(self) -> float:
        """The time at which the flow starts."""
        levels_alone = by_flow(self.settings) and not self._bins_are_even
        if self.settings.t_min is not None or not levels_alone:
            return self.settings.start
        return float(self.sde.time_of(jnp.asarray(1 / (3 * self._grey.levels))))

    @property
    def _grey(self) -> ImageScaling:
        assert isinstance(self.scaling, ImageScaling)
        return self.scaling

    def density(
        self,
        score: Callable[..., Score],
        likelihood: "Flow | None" = None,
    ) -> Density:
        """Returns the density of the score of its parameters.

        Args:
          score: returns the score of parameters and, for conditional densities, of a condition.
          likelihood: the density of the flow from `start`, by default the adaptive one.
        """
        likelihood = likelihood or self.settings.build(self.start)
        measure = self._of_flow(likelihood) if by_flow(self.settings) else self._of_bound()
        continuous = flow_density(score, self.sde, measure, self.settings.probes)
        if not self.discrete:
            return continuous

        def density(
            params: PyTree, keys: Keys, x: Examples, *condition: PyTree
        ) -> "likelihoods.LogLikelihoods":
            found = continuous(params, keys, self.middles(x), *condition)
            # A probability of levels is a density that is even over their bins.
            volume = x[0].size * self._grey.log_det_per_dimension
            return found._replace(nats=found.nats - volume)

        return density

    def middles(self, x: Examples) -> Examples:
        """Returns the middle of the bin of each value, as the model's data have it."""
        levels = self._grey.to_levels(x)
        if self._bins_are_even:
            return self._grey.dequantize(levels, jnp.full_like(x, 0.5))
        return self._grey.place(levels)

    @property
    def half_width(self) -> float:
        """Half of the width of a bin, in model coordinates."""
        count = self._grey.levels - (0 if self._bins_are_even else 1)
        return 0.5 * self._grey.width / count

    @property
    def _bins_are_even(self) -> bool:
        """True if bins divide the range, as those of dequantized data; else outer levels end it."""
        return self.dequantized or self.settings.protocol == "uniform"

    def _of_flow(
        self, likelihood: "likelihoods.Likelihood | likelihoods.MultistepLikelihood"
    ) -> Measure:
        if not self.discrete:
            return likelihood
        dequantizer: likelihoods.Dequantizer
        if self.settings.protocol == "uniform":
            dequantizer = likelihoods.UniformDequantization(half_width=self.half_width)
        elif self.settings.protocol == "truncated":
            dequantizer = likelihoods.TruncatedDequantization(
                half_width=self.half_width, t_min=self.start
            )
        elif self.dequantizer is not None:
            dequantizer = self.dequantizer(half_width=self.half_width)
        else:
            raise ValueError(
                "`protocol` variational needs a trained dequantizer: `dequantizer` names its run, "
                "such as that of digits_dequantizer."
            )
        return likelihoods.DiscreteLikelihood(
            likelihood=likelihood, dequantizer=dequantizer, draws=self.settings.samples
        )

    def _of_bound(self) -> Measure:
        decoder: likelihoods.Decoder = likelihoods.GaussianDensity()
        if self.discrete:
            decoder = likelihoods.DiscretizedGaussian(levels=self._grey.levels)
        if self.settings.protocol == "score-bound":
            return likelihoods.ScoreBound(
                t_min=self.start, draws=self.settings.samples, decoder=decoder
            )
        chain = self.noise_levels or DDPMChain()
        # The variance that is optimal for separate points suits levels that its noise resolves.
        first = jnp.asarray(0.0)
        noise = float(chain.sigma(self.sde, first) / chain.alpha(self.sde, first))
        separate = self.discrete and noise < 0.5 * self._grey.width / (self._grey.levels - 1)
        variance: Literal["beta", "posterior"] = "posterior" if separate else "beta"
        bound = likelihoods.VariationalBound(chain=chain, variance=variance, decoder=decoder)

        def of_chain(
            keys: Keys, score: Score, sde: LinearSDE, x: Examples
        ) -> "likelihoods.LogLikelihoods":
            def at_levels(x: Examples, t: Array) -> Examples:
                """The score of a model of all times, at the time with the noise of the level."""
                return score(x, sde.time_of(chain.sigma(sde, t) / chain.alpha(sde, t)))

            found = bound(keys, score if self.noise_levels else at_levels, sde, x)
            return likelihoods.LogLikelihoods(found.nats, None, found.nfe, jnp.isfinite(found.nats))

        return of_chain
