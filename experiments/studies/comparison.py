"""Compares models of the same data in one table and figure, in the features of one classifier."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.studies.drawn import kept_samples, seconds_per_image
from experiments.studies.study import Results, Study
from sde_jax import figures
from sde_jax.evaluation import (
    WORDING,
    classifier,
    draw_values,
    features_of,
    markdown_table,
    newest,
    with_error,
)
from sde_jax.runs import open_generative, training_seconds

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

    runs: tuple[tuple[str, str], ...]
    """Title and run of each model."""
    classifier: str
    """Run whose features and logits the evaluations use."""

    def measure(self, runs: Path, pictures: Path) -> dict[str, Any]:
        """Returns findings of each model and of held-out data, with the times of the models."""
        network = classifier(runs / self.classifier)
        found: dict[str, Any] = {}
        rows: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for title, name in self.runs:
            run, record = open_generative(runs / name), newest(runs / name)
            found.setdefault(REAL, {"findings": findings(record, of=REAL)})
            drawn = kept_samples(run)
            logits = features_of(network, drawn.data).logits
            assert logits is not None, "a classifier has logits"
            rows[title] = drawn.data[:SHOWN], best_of_each(drawn.data, np.asarray(logits))
            found[title] = {
                "run": name,
                "findings": findings(record, of="run"),
                "count": len(drawn.data),
                "evaluations": drawn.nfe,
                "seconds_per_image": seconds_per_image(run, TIMED),
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


def best_of_each(images: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Returns for each label the image with its largest logit; white where no image has it."""
    own = np.where(logits == logits.max(axis=1, keepdims=True), logits, -np.inf)
    known = np.isfinite(own.max(axis=0)).reshape(-1, *[1] * (images.ndim - 1))
    return np.where(known, images[own.argmax(axis=0)], 1)


def draw_images(rows: Mapping[str, tuple[np.ndarray, np.ndarray]], path: Path) -> None:
    """Draws a row for each model: its first samples, and its best of each label."""
    samples, best = (np.stack(images) for images in zip(*rows.values(), strict=True))
    columns = {"The first samples": samples, "The best of each label, from 0": best}
    figures.image_rows(columns, path, names=list(rows))


def draw_numbers(models: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draws a panel for each metric: the models with errors, and a line for held-out data."""
    found = {title: model["findings"] for title, model in models.items() if title != REAL}
    real = models[REAL]["findings"]
    shown = [name for name in METRICS if any(name in of for of in (real, *found.values()))]
    draw_values(
        {WORDING[name].title: [of.get(name) for of in found.values()] for name in shown},
        list(found),
        path,
        known={WORDING[name].title: real.get(name) for name in shown},
    )
