"""Shows an image, a density and its score along every forward process; needs no run."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.studies import forward_pictures
from experiments.studies.forward_pictures import View
from experiments.studies.study import Results, Study
from sde_jax.arrays import Array, Float
from sde_jax.data import TEST, DataSpec
from sde_jax.evaluation import markdown_table
from sde_jax.score import GaussianMixture
from sde_jax.sde import VE, VP, CosineVP, FlowMatching, LinearSDE, OrnsteinUhlenbeck, SubVP
from sde_jax.validation import at_least

Image = Float[Array, "height width channels"]

SDES: dict[str, LinearSDE] = {
    "VP": VP(),
    "cosine VP": CosineVP(),
    "sub-VP": SubVP(),
    "VE": VE(),
    "Ornstein-Uhlenbeck": OrnsteinUhlenbeck(),
    "flow matching": FlowMatching(),
}
TIMES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)

ROWS = {
    "alpha": "α",
    "sigma": "σ",
    "noise_to_signal": "σ/α",
    "signal_share": "signal's share of the image's variance",
}
"""Rows of the table and their titles."""

PLACE = 4
"""Position of the image in the test split: a 3 of the digits, a 7 of MNIST."""
DENSITY_CELLS = 96
SCORE_CELLS = 11
EXTENT = 3.0
"""Half the width of the plane, in deviations of the marginal."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forward(Study):
    """Every SDE at the same times: a figure, an animation and numbers."""

    data: DataSpec
    """Images in [-1, 1]."""
    frames: Annotated[int, at_least(2)] = 51
    """Frames of the animation, at equal steps of t from 0 to 1."""

    def measure(self, runs: Path, pictures: Path) -> dict[str, Any]:
        """Draws ``forward.png`` and ``forward.gif``.

        Returns:
          For each process the time at which the noise equals the signal, and at each of ``times``
          its ``alpha``, ``sigma``, their ``noise_to_signal`` and the signal's share of the image's
          variance, ``alpha^2 v / (alpha^2 v + sigma^2)`` for pixels of variance v.
        """
        test = self.data.load().batches(jax.random.key(0), TEST, PLACE + 1, count=PLACE + 1)
        x0 = next(test).x[PLACE]
        steps = np.linspace(0, 1, self.frames).tolist()
        names = {"forward": "forward.png", "animation": "forward.gif"}
        found = {name: numbers(sde, float(x0.var())) for name, sde in SDES.items()}
        labels = {name: _label(name, found[name]["equal_at"]) for name in SDES}
        forward_pictures.draw_figure(
            {labels[name]: views(sde, x0, TIMES) for name, sde in SDES.items()},
            pictures / names["forward"],
        )
        forward_pictures.draw_animation(
            {name: views(sde, x0, steps) for name, sde in SDES.items()},
            pictures / names["animation"],
        )
        return {"pictures": names, "times": list(TIMES), "processes": found}

    def table(self, results: Results) -> Iterator[str]:
        """Yields a row for each number of each process, with a column for each time."""
        return markdown_table(
            ("", *(f"t = {t:g}" for t in results["times"])),
            (
                (f"{name}: {label}", *(f"{value:.3g}" for value in found[key]))
                for key, label in ROWS.items()
                for name, found in results["processes"].items()
            ),
        )


def _label(name: str, equal_at: float) -> str:
    return f"{name}\n$\\sigma = \\alpha$ at t = {equal_at:.2f}"


def numbers(sde: LinearSDE, variance: float) -> dict[str, Any]:
    """Returns the numbers of a process, for an image whose pixels have that variance."""
    t = jnp.asarray(TIMES)
    alpha, sigma = sde.alpha(t), sde.sigma(t)
    signal = alpha**2 * variance
    return {
        "equal_at": float(sde.time_of(jnp.asarray(1.0))),
        "alpha": alpha.tolist(),
        "sigma": sigma.tolist(),
        "noise_to_signal": sde.noise_to_signal(t).tolist(),
        "signal_share": (signal / (signal + sigma**2)).tolist(),
    }


def mixture() -> GaussianMixture:
    """Returns four unequal Gaussians in the plane, off centre, of unit mean square."""
    weights = np.array([0.5, 0.25, 0.15, 0.1])
    means = np.array([[1.1, 0.6], [-1.0, 1.0], [-0.6, -1.0], [1.2, -1.1]])
    covariances = np.array(
        [
            [[0.16, 0.08], [0.08, 0.09]],
            [[0.04, -0.03], [-0.03, 0.09]],
            [[0.05, 0.0], [0.0, 0.05]],
            [[0.03, 0.0], [0.0, 0.06]],
        ]
    )
    squares = (means**2).sum(axis=1) + np.trace(covariances, axis1=1, axis2=2)
    mean_square = weights @ squares / 2
    return GaussianMixture.from_covariances(
        jnp.asarray(weights),
        jnp.asarray(means / mean_square**0.5),
        jnp.asarray(covariances / mean_square),
    )


def views(sde: LinearSDE, x0: Image, times: Sequence[float]) -> list[View]:
    """Returns the image, with one noise for all times, and density and score of `mixture`.

    Pixels range from ``-(alpha + 2 sigma)``, black, to ``alpha + 2 sigma``, white; only noise takes
    an image in [-1, 1] out of this range. The plane extends three deviations of the marginal,
    ``3 sqrt(alpha^2 + sigma^2)``, to each side.
    """
    noise, data = jax.random.normal(jax.random.key(0), x0.shape), mixture()

    def view(t: Array) -> View:
        alpha, sigma = sde.alpha(t), sde.sigma(t)
        extent = EXTENT * jnp.hypot(alpha, sigma)
        density = jnp.exp(data.log_density(sde, extent * cells(DENSITY_CELLS), t))
        score = data.score(sde, extent * cells(SCORE_CELLS), t)
        image = 0.5 + 0.5 * (alpha * x0 + sigma * noise) / (alpha + 2 * sigma)
        return View(
            time=t,
            noise_to_signal=sde.noise_to_signal(t),
            image=jnp.clip(image, 0, 1),
            extent=extent,
            density=density.reshape(DENSITY_CELLS, DENSITY_CELLS),
            score=score.reshape(SCORE_CELLS, SCORE_CELLS, 2),
        )

    columns = jax.device_get(jax.vmap(view)(jnp.asarray(times)))
    return [View(*row) for row in zip(*columns, strict=True)]


def cells(side: int) -> Float[Array, "cells 2"]:
    """Returns the centres of ``side^2`` equal squares that fill [-1, 1]^2, row by row, upwards."""
    middles = (2 * jnp.arange(side) + 1) / side - 1
    return jnp.stack(jnp.meshgrid(middles, middles), axis=-1).reshape(-1, 2)
