"""Compares models of the same data in one table and figure, in the features of one classifier."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.studies.drawn import kept_samples, seconds_per_image
from experiments.studies.study import Results, Study
from sde_jax.atomic import whole_file
from sde_jax.evaluation.comparison import newest
from sde_jax.evaluation.features import classifier, features_of
from sde_jax.evaluation.markdown import markdown_table
from sde_jax.evaluation.wording import WORDING, with_error
from sde_jax.runs.status import training_seconds
from sde_jax.runs.trained_run import GenerativeRun, open_generative
from sde_jax.training import data_mesh

__all__ = ["Comparison"]

METRICS = (
    *("mean_max_logit", "label_distance", "frechet_distance", "precision", "recall"),
    *("bits_per_dim", "bits_per_dim_bound"),
)
REAL = "held-out data"
SHOWN = 12
"""Samples of each model, beside its best of each label."""
TIMED = 64
"""Size of the batch that is timed."""


@dataclass(frozen=True, kw_only=True)
class Comparison(Study):
    """A comparison of models of the same images.

    Every number but the times comes from the model's usual evaluation. The image of a label is the
    sample with the largest logit among those that are classified as it.
    """

    models: tuple[tuple[str, str], ...]
    """Title and run of each model."""
    classifier: str
    """Run whose features and logits the evaluations use."""

    @property
    def trained(self) -> tuple[str, ...]:
        """The classifier and the models."""
        return (self.classifier, *(run for _, run in self.models))

    def measure(self, runs: Path, pictures: Path) -> dict[str, Any]:
        """Returns findings of each model and of held-out data, with the times of the models."""
        network = classifier(runs / self.classifier)
        found: dict[str, Any] = {}
        rows: dict[str, tuple[np.ndarray, list[np.ndarray]]] = {}
        for title, name in self.models:
            run, record = open_generative(runs / name, data_mesh()), newest(runs / name)
            found.setdefault(REAL, {"findings": findings(record, of=REAL)})
            drawn = kept_samples(run)
            logits = features_of(network, drawn.data, data_mesh()).logits
            assert logits is not None, "a classifier has logits"
            rows[title] = drawn.data[:SHOWN], best_of_each(drawn.data, np.asarray(logits))
            found[title] = {
                "run": name,
                "findings": findings(record, of="run"),
                "count": len(drawn.data),
                "evaluations": drawn.nfe,
                "seconds_per_image": timed(run),
                "training_minutes": training_seconds(run.directory) / 60,
                "step": run.step,
            }
        draw_images(rows, pictures / "images.png")
        draw_numbers(found, pictures / "numbers.png")
        return {"models": found}

    def table(self, results: Results) -> Iterator[str]:
        """Yields a row for each model, and one for held-out data."""
        models = results["models"]
        shown = [name for name in METRICS if any(name in m["findings"] for m in models.values())]
        head = ["", *(WORDING[name].title for name in shown)]
        head += ["evaluations", "seconds per image", "minutes of training"]
        yield from markdown_table(head, (row(title, m, shown) for title, m in models.items()))


def row(title: str, model: Mapping[str, Any], shown: list[str]) -> list[str]:
    """Returns the cells of a model."""
    cells = [title]
    for name in shown:
        finding = model["findings"].get(name)
        cells.append("" if finding is None else with_error(finding["value"], finding["stderr"]))
    if "run" in model:
        cells.append(f"{model['evaluations']:,.0f}")
        cells += [f"{model[key]:.3g}" for key in ("seconds_per_image", "training_minutes")]
    return cells + [""] * (len(shown) + 4 - len(cells))


def findings(record: Mapping[str, Any], of: str) -> dict[str, dict[str, Any]]:
    """Returns value and error of the compared metrics, in the features of the first network."""
    kept: dict[str, dict[str, Any]] = {}
    for finding in record["findings"]:
        if finding["of"] == of and finding["metric"] in METRICS:
            values = {name: finding[name] for name in ("value", "stderr", "expected")}
            kept.setdefault(finding["metric"], values)
    return kept


def timed(run: GenerativeRun) -> float:
    """Returns the seconds of a sample in a batch."""
    draw = run.sample_fn(run.experiment.evaluation.sampling)
    return seconds_per_image(draw, run.params, TIMED)


def best_of_each(images: np.ndarray, logits: np.ndarray) -> list[np.ndarray]:
    """Returns for each label the image with its largest logit; white where no image has it."""
    labels, blank = logits.argmax(axis=1), np.ones_like(images[0])
    best = []
    for label in range(logits.shape[1]):
        ours = np.flatnonzero(labels == label)
        best.append(images[ours[logits[ours, label].argmax()]] if len(ours) else blank)
    return best


def draw_images(rows: Mapping[str, tuple[np.ndarray, list[np.ndarray]]], path: Path) -> None:
    """Draws a row for each model: its first samples, and its best of each label."""
    labels = len(next(iter(rows.values()))[1])
    figure = Figure(figsize=(2.0 + 0.42 * (SHOWN + labels + 1), 0.75 + 0.44 * len(rows)))
    left = 2.0 / figure.get_figwidth()
    top = 1 - 0.65 / figure.get_figheight()
    grid = figure.add_gridspec(
        len(rows),
        SHOWN + labels + 1,
        left=left,
        right=0.995,
        top=top,
        bottom=0.02,
        wspace=0.06,
        hspace=0.06,
    )
    for line, (title, (samples, best)) in enumerate(rows.items()):
        for column, image in [*enumerate(samples), *enumerate(best, SHOWN + 1)]:
            axes = figure.add_subplot(grid[line, column])
            axes.imshow(
                image if image.shape[-1] == 3 else image[..., 0], cmap="gray", vmin=0, vmax=1
            )
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if column == 0:
                axes.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=10)
            if line == 0 and column > SHOWN:
                axes.set_title(str(column - SHOWN - 1), fontsize=9)
            if line == 0 and column in (0, SHOWN + 1):
                above = "The first samples" if column == 0 else "The best of each label"
                place = axes.get_position()
                figure.text(place.x0, place.y1 + 0.3 / figure.get_figheight(), above, fontsize=11)
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=150)


def draw_numbers(models: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draws a panel for each metric: the models with errors, and a line for held-out data."""
    shown = [name for name in METRICS if any(name in m["findings"] for m in models.values())]
    columns = math.ceil(len(shown) / 2)
    titles = [title for title in models if title != REAL]
    size = (3.0 * columns + 1.2, 2 * (0.7 + 0.26 * len(titles)))
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle("Samples of each model, with standard errors", fontsize=11)
    panels = figure.subplots(2, columns, sharey=True, squeeze=False).ravel()
    for panel in panels[len(shown) :]:
        panel.set_visible(False)
    for panel, name in zip(panels, shown, strict=False):
        for place, title in enumerate(titles):
            finding = models[title]["findings"].get(name)
            if finding is not None and finding["value"] is not None:
                error = finding["stderr"] or np.nan
                panel.errorbar(finding["value"], place, xerr=error, fmt="o", color="#2f6db3", ms=4)
        real = models[REAL]["findings"].get(name)
        if real is not None:
            panel.axvline(real["value"], color="#d9722e", lw=1.2, ls="--", label=REAL)
            panel.legend(frameon=False, fontsize=7, loc="best")
        panel.set(yticks=range(len(titles)), ylim=(len(titles) - 0.5, -0.5))
        panel.set_yticklabels(titles, fontsize=8)
        panel.tick_params(axis="x", labelsize=8)
        panel.set_title(WORDING[name].title, fontsize=9)
        panel.grid(axis="y", alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=150)
