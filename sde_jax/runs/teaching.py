"""Runs of score models that another experiment learns from: a student or a dequantizer."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from sde_jax.arguments import UsageError
from sde_jax.arrays import PyTree
from sde_jax.data.source import DataSource, Layout
from sde_jax.recipes.dequantization import Dequantization
from sde_jax.recipes.serialization import to_config
from sde_jax.recipes.student import Student
from sde_jax.recipes.trainable import Trainable
from sde_jax.runs.beside import find_beside
from sde_jax.training.errors import NotARunError
from sde_jax.training.learner import Learner

if TYPE_CHECKING:
    from sde_jax.runs.trained_run import ScoreRun


def with_run_path(experiment: Trainable, workdir: Path) -> Trainable:
    """Returns the experiment with the absolute path of the run that it learns from.

    One that does not exist is left as it is.
    """
    field = experiment.learns_from
    named = field and getattr(experiment, field)
    found = find_beside(named, workdir) if named else None
    if field is None or found is None:
        return experiment
    changed: Any = experiment
    replaced: Trainable = dataclasses.replace(changed, **{field: str(found.absolute())})
    return replaced


def learner_of(experiment: Trainable, source: DataSource) -> Learner:
    """Builds the learner of an experiment, from the run that it learns from if there is one.

    Raises:
      UsageError: if that is no run of a score model, or one of other data or another shape.
      ValueError: if the learner cannot be built for the data.
    """
    field = experiment.learns_from
    if field is None or getattr(experiment, field) is None:
        return experiment.learner(source.shape)
    from sde_jax.runs.trained_run import WrongKindError, open_run  # They import every solver.

    try:
        run = open_run(Path(getattr(experiment, field)))
    except (NotARunError, WrongKindError) as error:
        raise UsageError(
            f"--{field} names no run of a score model: {error} Train one, or name it with "
            f"--{field} RUN."
        ) from error
    match experiment:
        case Student():
            check_teacher(experiment, run)
            # The state of the learner holds the parameters on the devices.
            teacher = dataclasses.replace(run.score, params=jax.device_get(run.params))
            return experiment.learner(source.shape, teacher)
        case Dequantization():
            run.check_layout(Layout(source.shape, source.scaling))
            settings = dataclasses.replace(
                run.experiment.likelihood, protocol="variational", dequantizer=None
            )
            return experiment.learner_for(source.shape, run.score, run.measurement(settings))
    raise TypeError(f"nothing is known of how a {experiment.kind} learns from a run.")


def check_teacher(student: Student, run: "ScoreRun") -> None:
    """Raises UsageError unless a run has the student's data and the shapes of its parameters."""
    if identity(run.experiment.data) != identity(student.data):
        raise UsageError(
            f"--teacher must be trained on the student's data, {student.data}: {student.teacher} "
            f"is of {run.experiment.data}."
        )
    own = jax.eval_shape(lambda key: student.model().init(key, run.layout.shape), jax.random.key(0))
    if shapes(own) != shapes(run.params):
        raise UsageError(
            "--teacher must have a network of the student's shape: that of "
            f"{student.teacher} is {run.experiment.network}, the student's {student.network}."
        )


def identity(data: Any) -> dict[str, Any]:
    """Returns what data are, without where they are stored."""
    fields = to_config(data)
    return {name: value for name, value in fields.items() if name not in ("data_dir", "storage")}


def shapes(params: PyTree) -> PyTree:
    """Returns the shapes of parameters by their names."""
    return jax.tree.map(lambda leaf: tuple(leaf.shape), params)
