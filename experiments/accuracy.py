"""How many examples a trained classifier knows."""

from typing import Any

import jax
import numpy as np

from experiments.evaluation.features import extractor, of_classifier
from experiments.kinds.classification import Classification
from experiments.runs import TrainedRun
from sde_jax.training.devices import data_mesh

BATCH_SIZE = 500


def report(run: TrainedRun[Classification]) -> dict[str, Any]:
    """The accuracy of the averaged parameters on the whole test split, with its standard error."""
    extract, scaling = extractor(of_classifier(run), data_mesh(), BATCH_SIZE), run.source.scaling
    right = np.concatenate(
        [
            np.asarray(extract(scaling.to_unit(batch.x)).logits).argmax(axis=1)
            == np.asarray(batch.label)
            for batch in run.source.batches(jax.random.key(0), "test", BATCH_SIZE)
        ]
    )
    return {
        "accuracy": float(right.mean()),
        "stderr": float(right.std(ddof=1) / len(right) ** 0.5),
        "count": len(right),
    }
