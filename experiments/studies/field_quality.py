"""Quality of a model of Gaussian fields: entropy, spectrum and marginals against the exact ones."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.studies.study import Report
from sde_jax import figures
from sde_jax.data import TEST, GaussianField
from sde_jax.metrics import mean_estimate
from sde_jax.runs import ScoreRun, draw_all, measure, open_run

COUNT = 1000
"""Samples whose spectrum is measured."""
MEASURED = 256
"""Held-out examples whose density is measured."""
LOWEST = 2
"""Lowest wave numbers, which have few modes and are not judged."""


@dataclass(frozen=True, kw_only=True)
class FieldQuality(Report):
    """Nats per dimension beside the entropy, and the spectrum of samples beside the exact one.

    ``exact`` has the same measures of draws from the field itself. Of these, 95% of the wave
    numbers are expected within two standard errors.
    """

    def measure(self, runs: Path, pictures: Path) -> dict[str, Any]:
        """Returns the measures; draws ``spectrum.png`` and ``marginals.png``."""
        run = open_run(runs / self.run)
        field: Any = run.experiment.data
        settings = run.experiment.evaluation.sampling or run.experiment.sampling
        drawn = draw_all(run.sample_fn(settings), run.params, count=COUNT, batch_size=COUNT // 4)
        exact = next(run.source.batches(jax.random.key(0), TEST, COUNT, count=COUNT)).x
        of_each = {"samples": np.asarray(drawn.x), "exact draws": np.asarray(exact)}
        draw_pictures(field, of_each, pictures)
        return {
            "density": density(run, field),
            **{name: measures(field, x) for name, x in of_each.items()},
        }


def density(run: ScoreRun, field: GaussianField) -> dict[str, float]:
    """Returns nats per dimension of held-out examples, with the exact ones.

    ``excess`` is the mean difference of the exact and the model's log density of the same examples,
    an estimate of the Kullback-Leibler divergence per dimension.
    """
    key = jax.random.key(0)
    of_run = run.density(run.experiment.likelihood)
    assert of_run is not None
    parts = measure(
        of_run, run.params, run.source, TEST, key=key, count=MEASURED, batch_size=MEASURED
    )
    nats = np.concatenate([np.asarray(part.nats, np.float64) for part in parts])
    examples = np.asarray(next(run.source.batches(key, TEST, MEASURED, count=MEASURED)).x)
    dimensions = examples[0].size
    mean, stderr, _ = mean_estimate(-nats / dimensions)
    excess, excess_stderr, _ = mean_estimate((field.log_density(examples) - nats) / dimensions)
    return {
        "entropy": field.entropy / dimensions,
        "nats": float(mean),
        "error": float(stderr),
        "excess": float(excess),
        "excess error": float(excess_stderr),
    }


def measures(field: GaussianField, x: np.ndarray) -> dict[str, float]:
    """Returns deviations of spectrum and marginals from the exact ones.

    ``within`` is the share of the wave numbers, but the lowest two, whose power lies within two
    standard errors of the exact one; ``largest z`` is the largest deviation in standard errors, and
    ``largest error`` the largest relative one. Mean and deviation are those of all pixels.
    """
    power, expected = spectrum(x), expected_spectrum(field)
    mean, stderr = power.mean(axis=0), power.std(axis=0, ddof=1) / len(power) ** 0.5
    z = ((mean - expected) / stderr)[LOWEST:]
    return {
        "within": float((np.abs(z) <= 2).mean()),
        "largest z": float(np.abs(z).max()),
        "largest error": float(np.abs(mean / expected - 1)[LOWEST:].max()),
        "mean": float(x.mean()),
        "deviation": float(x.std()),
    }


def wave_numbers(sizes: tuple[int, ...]) -> np.ndarray:
    """Returns the wave number of each mode: cycles over the longest axis, rounded."""
    cycles = np.meshgrid(*(np.fft.fftfreq(size) for size in sizes), indexing="ij")
    squares = sum(cycle**2 for cycle in cycles)
    return np.rint(max(sizes) * np.sqrt(squares)).astype(int)


def spectrum(x: np.ndarray) -> np.ndarray:
    """Returns the power of ``[count, *sizes, 1]`` by wave number, the mean over its modes."""
    sizes = x.shape[1:-1]
    axes = tuple(range(1, x.ndim - 1))
    power = np.abs(np.fft.fftn(np.float64(x[..., 0]), axes=axes, norm="ortho")) ** 2
    return by_wave_number(power, sizes)


def expected_spectrum(field: GaussianField) -> np.ndarray:
    """Returns the exact mean of `spectrum`: ``f^* C f`` for each mode f."""
    sizes, axes = field.sizes, len(field.sizes)
    covariance = field.covariance().reshape(*sizes, *sizes)
    half = np.fft.fftn(covariance, axes=range(axes), norm="ortho")
    modes = np.fft.ifftn(half, axes=range(axes, 2 * axes), norm="ortho")
    dimensions = np.prod(sizes)
    power = np.diag(modes.reshape(dimensions, dimensions)).real.reshape(1, *sizes)
    return by_wave_number(power, sizes)[0]


def by_wave_number(power: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """Returns the mean of ``[count, *sizes]`` over the modes of each wave number."""
    number = wave_numbers(sizes).ravel()
    flat = power.reshape(len(power), -1)
    known = np.unique(number)
    return np.stack([flat[:, number == one].mean(axis=1) for one in known], axis=1)


def draw_pictures(field: GaussianField, of_each: dict[str, np.ndarray], pictures: Path) -> None:
    """Draws spectra and marginals."""
    known = np.unique(wave_numbers(field.sizes)).tolist()
    lines = {"exact": expected_spectrum(field)}
    lines |= {name: spectrum(x).mean(axis=0) for name, x in of_each.items()}
    points = [
        {"step": number, **{name: float(values[place]) for name, values in lines.items()}}
        for place, number in enumerate(known)
    ]
    figures.curves(
        points,
        pictures / "spectrum.png",
        series={name: name for name in lines},
        ylabel="power",
        xlabel="wave number",
    )
    values = {name: x.ravel() for name, x in of_each.items()}
    figures.histogram(values, pictures / "marginals.png", xlabel="value of a pixel")
