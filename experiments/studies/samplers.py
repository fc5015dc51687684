"""Compares samplers on one trained model: quality against evaluations and seconds."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.studies.study import Results, Study
from sde_jax.atomic import write_json
from sde_jax.data import TRAIN
from sde_jax.evaluation import (
    FeatureNetwork,
    classifier,
    compute_reference,
    describe,
    markdown_table,
    with_error,
)
from sde_jax.figures import save_figure
from sde_jax.metrics import FittedGaussian, frechet_distance, mean_estimate
from sde_jax.recipes import SAMPLERS, SamplerSettings, to_config
from sde_jax.runs import ScoreRun, concatenate, example_keys, is_valid, open_run
from sde_jax.sampling import Samples
from sde_jax.training import compiled_on_each_device

Point = Mapping[str, Any]

BATCH_SIZE = 64
MARKERS = "osD^v<>Pp*hXd8H"
EXCESS = "excess Fréchet distance"
LINEAR = 10.0
"""Distance below which the scale is linear, and above which it is logarithmic."""


@dataclass(frozen=True, kw_only=True)
class Samplers(Study):
    """Fréchet distances of samples by every sampler from training data, in a classifier's features.

    The samplers share their keys. The average distance of as many training images is subtracted:
    the slower a sampler, the fewer samples are drawn, and the fewer samples, the larger the
    distance.
    """

    run: str
    """Run of the score model."""
    classifier: str
    """Run whose features are compared."""
    settings: tuple[SamplerSettings, ...]
    """The points of the figure; a line joins those of one sampler and grid."""
    evaluations: int
    """Network evaluations of all samples of a setting together."""
    least: int
    """Least number of samples of a setting."""
    most: int
    """Largest number of samples of a setting."""

    def measure(self, runs: Path, pictures: Path) -> dict[str, Any]:
        """Returns evaluations, seconds per image and distance of every setting.

        The results of each setting are stored at once, so that a kill loses only one of them.
        """
        run, network = open_run(runs / self.run), classifier(runs / self.classifier)
        known = compute_reference(network, run.experiment.data, TRAIN, source=run.source)
        kept = pictures.parent / f"settings-{self.run}-{run.step}.json"
        found: dict[str, Point] = json.loads(kept.read_text()) if kept.is_file() else {}
        budget = {"evaluations": self.evaluations, "least": self.least, "most": self.most}
        names = [json.dumps({**to_config(settings), **budget}) for settings in self.settings]
        for name, settings in zip(names, self.settings, strict=True):
            if name not in found:
                found[name] = self._point(run, network, known.gaussian, settings)
                write_json(kept, found)
        points = [found[name] for name in names]
        draw_points(points, pictures / "figure.png")
        return {"points": points, "minutes": sum(point["minutes"] for point in points)}

    def table(self, results: Results) -> Iterator[str]:
        """Yields a row for each setting."""
        head = ["sampler", "settings", "evaluations", "seconds per image", EXCESS]
        head += ["mean max logit", "samples"]
        yield from markdown_table(head, map(cells, results["points"]))

    def _point(
        self,
        run: ScoreRun,
        network: FeatureNetwork,
        training: FittedGaussian,
        settings: SamplerSettings,
    ) -> dict[str, Any]:
        """Returns the results of one setting, and the minutes of measuring it."""
        started = time.monotonic()
        samples, seconds = self._draw(run, settings)
        whole = is_valid(samples)
        images = np.asarray(run.layout.scaling.to_unit(samples.x[whole]))
        seen = describe(network, images)
        assert seen.logits is not None, "a classifier has logits"
        distance = frechet_distance(seen.gaussian, training)
        return {
            "sampler": settings.sampler,
            "options": settings.options(),
            "evaluations": float(samples.nfe.mean()),
            "samples": len(whole),
            "failed": int((~whole).sum()),
            "seconds_per_image": seconds,
            "excess": [distance.value - distance.bias, distance.stderr],
            "mean_max_logit": list(mean_estimate(seen.logits.max(axis=1))[:2]),
            "minutes": (time.monotonic() - started) / 60,
        }

    def _draw(self, run: ScoreRun, settings: SamplerSettings) -> tuple[Samples, float]:
        """Returns samples, and the seconds of one sample in a compiled batch."""
        draw = compiled_on_each_device(run.sample_fn(settings))
        count = self.least
        parts: list[Samples] = []
        seconds: list[float] = []
        while len(parts) * BATCH_SIZE < count or len(parts) < 2:
            first = len(parts) * BATCH_SIZE
            keys = example_keys(jax.random.key(0), first, BATCH_SIZE)
            started = time.perf_counter()
            parts.append(jax.device_get(draw(run.params, keys, first + jnp.arange(BATCH_SIZE))))
            seconds.append((time.perf_counter() - started) / BATCH_SIZE)
            affordable = int(self.evaluations / parts[0].nfe.mean())
            count = min(max(affordable, self.least), self.most)
        return concatenate(parts), float(np.median(seconds[1:]))


def cells(point: Point) -> list[str]:
    """Returns the row of a setting."""
    options = ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in point["options"].items()
        if value
    )
    failed = f", {point['failed']} of them failed" if point["failed"] else ""
    return [
        SAMPLERS[point["sampler"]].title,
        options,
        f"{point['evaluations']:,.0f}",
        f"{point['seconds_per_image']:.3g}",
        with_error(*point["excess"]),
        with_error(*point["mean_max_logit"]),
        f"{point['samples']:,}{failed}",
    ]


def line_of(point: Point) -> str:
    """Returns the name of the line of a point: that of its sampler, with an unusual grid."""
    uniform = point["options"].get("grid") == "uniform"
    return SAMPLERS[point["sampler"]].title + (", uniform in t" if uniform else "")


def draw_points(points: Sequence[Point], path: Path) -> None:
    """Draws distances against evaluations and seconds, with a line for each sampler and grid."""
    figure = Figure(figsize=(12.2, 4.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    lines: dict[str, list[Point]] = {}
    for point in points:
        lines.setdefault(line_of(point), []).append(point)
    for axes, field, label in (
        (panels[0], "evaluations", "network evaluations of a sample"),
        (panels[1], "seconds_per_image", "seconds for a sample, in batches of 64"),
    ):
        draw_lines(axes, lines, field)
        axes.set(xscale="log", xlabel=label)
        axes.set_yscale("symlog", linthresh=LINEAR)
        axes.axhline(0, color="#7f7f7f", lw=0.8)
        axes.grid(alpha=0.25, which="both")
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle("One trained model, every sampler: distances with standard errors", fontsize=12)
    panels[0].set_ylabel(EXCESS)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=9)
    save_figure(figure, path)


def draw_lines(axes: Axes, lines: Mapping[str, list[Point]], field: str) -> None:
    """Draws each line in a colour and with a marker of its own."""
    for number, (name, points) in enumerate(lines.items()):
        ordered = sorted(points, key=lambda point: point[field])
        values, errors = zip(*(point["excess"] for point in ordered), strict=True)
        axes.errorbar(
            [point[field] for point in ordered],
            values,
            yerr=errors,
            label=name,
            color=f"C{number % 10}",
            marker=MARKERS[number % len(MARKERS)],
            ls="-" if number < 10 else "--",
            ms=5,
            lw=1.2,
            elinewidth=0.8,
        )
