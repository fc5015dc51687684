"""``sde-jax label SAMPLES.npz``."""

from pathlib import Path
from typing import Any

import numpy as np

from sde_jax.arguments import UsageError
from sde_jax.command_line.options.label import Label
from sde_jax.command_line.output import writable
from sde_jax.evaluation.features import classifier, features_of
from sde_jax.evaluation.labelled_folder import LISTING, check_folder, write_labelled
from sde_jax.numpy_files import Arrays, ArraysError


def main(options: Label) -> dict[str, Any]:
    """Runs the command and returns its results."""
    samples = read_samples(options.samples)
    check_folder(options.folder, samples.shape[1:])
    finite = np.isfinite(samples).reshape(len(samples), -1).all(axis=1)
    if not finite.any():
        raise UsageError(f"{options.samples} holds no finite sample to label.")
    network = classifier(options.classifier)
    writable(options.folder / LISTING)
    images = samples[finite]
    scores = np.asarray(features_of(network, images, options.batch_size).logits)
    numbered = zip(np.flatnonzero(finite).tolist(), images, strict=True)
    counts = write_labelled(options.folder, numbered, scores.argmax(axis=1), scores.shape[1])
    return {
        "labelled_folder": str(options.folder),
        "labels": counts,
        "count": len(images),
        "failed": np.flatnonzero(~finite).tolist(),
    }


def read_samples(path: Path) -> np.ndarray:
    """Reads the samples of a file.

    Raises:
      UsageError: if it cannot be read, or holds no samples.
    """
    try:
        with Arrays(path) as file:
            samples = file["samples"]
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ArraysError, KeyError) as error:
        reason = error if isinstance(error, ArraysError) else f"{path} holds no samples"
        raise UsageError(f"{reason}: `sample` writes such a file.") from None
    if samples.dtype.kind not in "biuf":
        raise UsageError(f"the samples of {path} must be numbers: they are {samples.dtype}.")
    return samples.astype(np.float32)
