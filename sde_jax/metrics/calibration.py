"""Simulation-based calibration of posteriors."""

from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from sde_jax.metrics.estimate import Estimate

LEAST_IN_BIN = 10
"""Least expected number of ranks in a bin of the test."""
MOST_BINS = 20


class Calibration(NamedTuple):
    """Ranks of true parameters among samples of their posterior."""

    ranks: np.ndarray
    """Number of samples below the true value, ``[simulations, parameters]``, from 0 to
    `samples`."""
    samples: int
    """Number of samples L of each posterior."""

    def histogram(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the number of ranks in each bin ``[parameters, bins]``, and the expected one
        ``[bins]`` if they are uniform.

        There are at most 20 bins, few enough for ten expected ranks in each.
        """
        count, values = len(self.ranks), self.samples + 1
        bins = min(max(count // LEAST_IN_BIN, 2), MOST_BINS, values)
        edges = np.arange(bins + 1) * values // bins
        found = [np.histogram(column, edges - 0.5)[0] for column in self.ranks.T]
        return np.stack(found), count * np.diff(edges) / values

    def p_values(self) -> np.ndarray:
        """Returns the p-value of uniform ranks for each parameter, by Pearson's chi-squared test of
        `histogram`."""
        from scipy.stats import chisquare

        found, expected = self.histogram()
        return np.asarray(chisquare(found, expected[None], axis=1).pvalue)

    def p_value(self) -> float:
        """Returns the p-value of uniform ranks of all parameters, by Bonferroni's correction: the
        smallest of `p_values` times their number, at most 1."""
        p_values = self.p_values()
        return min(1.0, float(p_values.min()) * len(p_values))

    def coverage(self, credibility: float) -> Estimate:
        """Returns the share of true values within the central intervals of this credibility.

        It is averaged over parameters; of exact posteriors it is the credibility itself. Its
        standard error is over simulations.

        Args:
          credibility: probability of the interval under the posterior, in [0, 1].
        """
        centre = (self.ranks + 0.5) / (self.samples + 1)
        within = (np.abs(2 * centre - 1) <= credibility).mean(axis=1)
        stderr = float(within.std(ddof=1)) / len(within) ** 0.5
        return Estimate(float(within.mean()), stderr, (len(within),))


def simulation_based_calibration(parameters: ArrayLike, samples: ArrayLike) -> Calibration:
    """Returns the ranks of true parameters among posterior samples of their simulations.

    Parameters drawn from the prior have uniform ranks if the samples follow the posterior (Talts et
    al. 2018, arXiv:1804.06788, theorem 1). Too narrow posteriors have too many ranks at both ends,
    too wide ones in the middle. The converse does not hold: samples of the prior also have uniform
    ranks.

    Args:
      parameters: true parameters, drawn from the prior, ``[simulations, parameters]``.
      samples: independent samples of the posterior of each simulation, ``[simulations, L,
        parameters]``.

    Raises:
      ValueError: if the shapes do not fit, there are fewer than two simulations, or a value is not
        finite.
    """
    true, drawn = np.asarray(parameters, np.float64), np.asarray(samples, np.float64)
    fits = true.ndim == 2 and drawn.ndim == 3 and drawn.shape[::2] == true.shape
    if not fits or len(true) < 2 or not drawn.shape[1]:
        raise ValueError(
            "`parameters` must be [simulations, parameters] of two simulations or more, and "
            f"`samples` [simulations, L, parameters]: got {true.shape} and {drawn.shape}."
        )
    if not (np.isfinite(true).all() and np.isfinite(drawn).all()):
        raise ValueError("`parameters` and `samples` must be finite.")
    return Calibration((drawn < true[:, None]).sum(axis=1), drawn.shape[1])
