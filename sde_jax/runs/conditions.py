"""Conditions that a run is asked for: their checks, and those of the data."""

import dataclasses
import hashlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import jax
import numpy as np

from sde_jax.arrays import first_place
from sde_jax.data import TEST, TRAIN, NumberFile, read_table
from sde_jax.data.source import Batch, DataSource
from sde_jax.nets import Condition
from sde_jax.recipes.score import ScoreExperiment
from sde_jax.recipes.trainable import Trainable

if TYPE_CHECKING:
    from sde_jax.runs.trained_run import TrainedRun  # It imports every solver.

Run = TypeVar("Run", bound="TrainedRun[Any]")

MOST_NUMBERS = 2**22
"""Numbers of held-out conditions that samples take in turn."""


def given(run: Run, condition: Any, *, count: int, of: str, weight: float | None = None) -> Run:
    """Returns the run whose samples and densities are conditional.

    Args:
      run: the run.
      condition: vectors ``[rows, size]`` or ``[size]``, or class labels ``[rows]`` or one; None for
        none, if the run allows that.
      count: the number of samples or examples: there is one row for all or one for each.
      of: names them, in messages.
      weight: weight of classifier-free guidance; 0 and None for none.

    Raises:
      ValueError: if the run needs a condition and there is none, or has none to be given, or the
        condition or the weight does not fit it.
    """
    if condition is None and not needs_condition(run.experiment) and not weight:
        return run
    experiment = conditional(run.experiment, asked=condition is not None)
    if condition is None:
        raise ValueError(
            f"`condition` must be given, {wanted(experiment)}, one for all or one for each of "
            f"{count:,} {of}."
        )
    rows = checked(experiment, condition)
    found = len(jax.tree.leaves(rows)[0])
    if found not in (1, count):
        raise ValueError(
            f"`condition` must have one row for all or one for each of {count:,} {of}: it has "
            f"{found:,} rows."
        )
    if weight and not math.isfinite(weight):
        raise ValueError(f"`weight` must be finite: got {weight}.")
    if weight and experiment.label_dropout == 0:
        raise ValueError(
            f"`weight` must be 0 for a run trained with `label_dropout`=0, whose network was never "
            f"without a condition: got {weight}."
        )
    return dataclasses.replace(run, condition=rows, weight=weight or None)


def read_condition(run: "TrainedRun[Any]", path: Path | None) -> np.ndarray | None:
    """Reads the conditions of ``--condition``; None without it.

    Raises:
      DataNotFoundError, ValueError: if there is no such file, or none of numbers.
    """
    if path is None:
        return None
    conditional(run.experiment, asked=True)
    data = run.experiment.data
    return (data.read_conditions if isinstance(data, NumberFile) else read_table)(path).values


def needs_condition(experiment: Trainable) -> bool:
    """Says whether an experiment's samples and densities are refused without a condition."""
    return isinstance(experiment, ScoreExperiment) and experiment.needs_condition


def conditional(experiment: Trainable, *, asked: bool) -> ScoreExperiment:
    """Returns the experiment, whose network takes a condition.

    Raises:
      ValueError: if it takes none.
    """
    if isinstance(experiment, ScoreExperiment) and experiment.is_conditional:
        return experiment
    name = "condition" if asked else "weight"
    raise ValueError(f"`{name}` must not be given: the run was trained without conditions.")


def wanted(experiment: ScoreExperiment) -> str:
    """Describes a row of conditions."""
    vector = experiment.network.vector
    if vector is None:
        return "a class label"
    return f"a row of {vector.size} number{'s' if vector.size > 1 else ''}"


def checked(experiment: ScoreExperiment, values: Any) -> Condition:
    """Returns rows of conditions for the network, which may be a single one.

    Raises:
      ValueError: if they have another width or other classes, or some are missing or infinite.
    """
    values, vector = np.asarray(values), experiment.network.vector
    if values.dtype.kind not in "iufb":
        raise ValueError(f"`condition` must be real numbers: got {values.dtype}.")
    if vector is None:
        return Condition(label=_labels(values, cast(int, experiment.network.classes)))
    rows = values[None] if values.ndim == 1 else values
    if rows.ndim != 2 or rows.shape[1] != vector.size or not len(rows):
        raise ValueError(
            f"`condition` must be {wanted(experiment)}, or several [rows, {vector.size}]: got the "
            f"shape {list(values.shape)}."
        )
    wrong = ~np.isfinite(rows)
    if wrong.any():
        raise ValueError(
            f"`condition` must be finite: {np.count_nonzero(wrong)} numbers are not, the first at "
            f"{first_place(wrong)}."
        )
    vectors: Any = np.asarray(rows, np.float32)
    return Condition(vector=vectors)


def _labels(values: np.ndarray, classes: int) -> Any:
    rows = values.reshape(-1) if values.ndim < 2 or values.shape[1:] == (1,) else values
    if rows.ndim != 1 or not len(rows):
        raise ValueError(
            f"`condition` must be class labels [rows]: got the shape {list(values.shape)}."
        )
    wrong = ~((rows >= 0) & (rows < classes) & (rows == np.floor(rows)))
    if wrong.any():
        raise ValueError(
            f"`condition` must be class labels from 0 to {classes - 1}: got {rows[wrong][0]:g}."
        )
    labels: Any = rows.astype(np.int32)
    return labels


def held_out_condition(experiment: Trainable, source: DataSource, count: int) -> Condition | None:
    """Returns the conditions of the first held-out examples, which samples have in turn.

    They are at most ``count``; None for an experiment whose samples need none.
    """
    if not needs_condition(experiment):
        return None
    assert isinstance(experiment, ScoreExperiment)
    count = min(count, max(MOST_NUMBERS // (source.condition_size or 1), 1))
    split = TEST if TEST in source.sizes else TRAIN
    batches = source.batches(jax.random.key(0), split, min(count, 256), count=count)
    rows = [jax.device_get(experiment.own_condition(batch)) for batch in batches]
    return jax.tree.map(lambda *parts: np.concatenate(parts), *rows)


def condition_of(run: "TrainedRun[Any]", batch: Batch, numbers: np.ndarray) -> Condition | None:
    """Returns the conditions of a batch of examples by their numbers: those of the run, or their
    own; None for unconditional densities."""
    if run.condition is not None:
        return jax.tree.map(lambda rows: rows[numbers % len(rows)], run.condition)
    if not needs_condition(run.experiment):
        return None
    return run.experiment.own_condition(batch)


def digest(condition: Condition, weight: float | None) -> str:
    """Returns a hash of conditions and the weight of their guidance."""
    found = hashlib.sha256(repr(weight).encode())
    for rows in jax.tree.leaves(condition):
        found.update(repr((rows.shape, str(rows.dtype))).encode() + rows.tobytes())
    return found.hexdigest()[:12]
