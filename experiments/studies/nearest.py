"""Compares samples with the training images that are nearest to them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.studies.drawn import kept_samples
from experiments.studies.study import Results, Study
from sde_jax import figures
from sde_jax.data import TEST, TRAIN
from sde_jax.evaluation import (
    WORDING,
    classifier,
    features_of,
    markdown_table,
    newest,
    read_examples,
    with_error,
)
from sde_jax.metrics import nearest_neighbours
from sde_jax.runs import open_generative

SHOWN = 10
NEIGHBOURS = 4
METRICS = ("closer", "near")
SPACES = {"pixels": "coordinates", "features": "classifier"}
"""Spaces of distances, and the features of the evaluation that they are."""


@dataclass(frozen=True, kw_only=True)
class NearestImages(Study):
    """Distances to the training data of samples, which may be copies, and of held-out images."""

    run: str
    """Run of the model."""
    classifier: str
    """Run in whose features images are compared as well."""
    count: int = 2000
    """Largest number of samples, and of held-out images."""

    def measure(self, runs: Path, pictures: Path) -> dict[str, Any]:
        """Returns median distances to the nearest training image, and the evaluation's findings."""
        network = classifier(runs / self.classifier)
        run = open_generative(runs / self.run)
        training, held_out = (
            np.concatenate([part.data for part in read_examples(run.source, split, count=count)])
            for split, count in ((TRAIN, None), (TEST, self.count))
        )
        samples = kept_samples(run).data[: self.count]
        images = [samples, held_out, training]
        spaces = {
            "pixels": images,
            "features": [np.asarray(features_of(network, x).features) for x in images],
        }
        shown, found = {"sample": samples[:SHOWN, None]}, {}
        for space, (of_samples, of_held_out, of_training) in spaces.items():
            near = nearest_neighbours(of_samples, of_training, NEIGHBOURS)
            shown[f"nearest in {space}"] = training[near.indices[:SHOWN]]
            beside = nearest_neighbours(of_held_out, of_training)
            found[space] = {
                "samples": float(np.median(near.distances[:, 0])),
                "held_out": float(np.median(beside.distances[:, 0])),
            }
        figures.image_rows(shown, pictures / "neighbours.png")
        record = newest(runs / self.run)
        kept = [f for f in record["findings"] if f["metric"] in METRICS]
        return {"median_distance": found, "findings": kept, "count": len(samples)}

    def table(self, results: Results) -> Iterator[str]:
        """Yields a row for each space of distances."""
        head = ["distance in", "median of samples", "median of held-out images"]
        head += [WORDING[metric].title for metric in METRICS]
        by = {(f["features"], f["metric"]): f for f in results["findings"]}
        rows = []
        for space, distance in results["median_distance"].items():
            cells = [space, *(f"{distance[name]:.3g}" for name in ("samples", "held_out"))]
            for metric in METRICS:
                finding = by[SPACES[space], metric]
                beside = f" ({finding['expected']:.3g})"
                cells.append(with_error(finding["value"], finding["stderr"]) + beside)
            rows.append(cells)
        yield from markdown_table(head, rows)
