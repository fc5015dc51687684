"""The teacher of a student: a run of a score model."""

import dataclasses
from pathlib import Path
from typing import Any

import jax

from sde_jax.arguments import UsageError
from sde_jax.arrays import PyTree
from sde_jax.recipes.serialization import to_config
from sde_jax.recipes.student import Student
from sde_jax.recipes.trainable import Trainable
from sde_jax.runs.trained_run import ScoreRun, WrongKindError, open_run
from sde_jax.score import NetworkScore
from sde_jax.training.errors import NotARunError
from sde_jax.training.learner import Learner


def with_teacher_path(experiment: Trainable, workdir: Path) -> Trainable:
    """Returns a student with the absolute path of its teacher's run, where that exists."""
    if not isinstance(experiment, Student) or experiment.teacher is None:
        return experiment
    places = (Path(experiment.teacher).expanduser(), workdir.parent / experiment.teacher)
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        return experiment
    return dataclasses.replace(experiment, teacher=str(found.absolute()))


def teacher_of(experiment: Trainable) -> NetworkScore | None:
    """Returns the score of a student's teacher, with its parameters on the host, if it has one.

    Raises:
      UsageError: if the teacher is no run of a score model, or one of other data or another shape.
    """
    if not isinstance(experiment, Student) or experiment.teacher is None:
        return None
    try:
        run = open_run(Path(experiment.teacher))
    except (NotARunError, WrongKindError) as error:
        raise UsageError(f"--teacher names no run of a score model: {error}") from error
    check_teacher(experiment, run)
    return dataclasses.replace(run.score, params=jax.device_get(run.params))


def check_teacher(student: Student, run: ScoreRun) -> None:
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


def taught(experiment: Trainable, shape: tuple[int, ...], teacher: NetworkScore | None) -> Learner:
    """Builds the learner of an experiment, of a student by its teacher."""
    if isinstance(experiment, Student):
        return experiment.learner(shape, teacher)
    return experiment.learner(shape)
