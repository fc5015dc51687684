"""A trained run as a Python object."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.arrays import Array, Float, PRNGKeyArray, PyTree
from sde_jax.data import (
    ArraySource,
    Batch,
    DataSource,
    DeviceRows,
    ImageScaling,
    Layout,
    RowSource,
)
from sde_jax.evaluation.evaluation import evaluate
from sde_jax.evaluation.task import Task, usual_task
from sde_jax.recipes.generative import Generative
from sde_jax.recipes.interfaces import Density, Measured
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.recipes.score import ScoreExperiment
from sde_jax.recipes.trainable import Trainable
from sde_jax.runs.fixed_steps import fixed_steps
from sde_jax.runs.generation import concatenate, generate
from sde_jax.runs.measurement import concatenate as concatenate_measured
from sde_jax.runs.measurement import measure
from sde_jax.runs.trained_run import GenerativeRun, ScoreRun, TrainedRun, open_run_of
from sde_jax.sampling import Samples
from sde_jax.score import NetworkScore
from sde_jax.training.devices import data_mesh

__all__ = ["Run", "open_run"]

GIVEN = "given"
BATCH_SIZE = 256


def open_run(path: str | Path) -> "Run":
    """Opens a run directory, of a run that was trained here or imported.

    Args:
      path: the run directory. Its newest readable checkpoint is used, or the best one where the
        run keeps it.

    Raises:
      NotARunError: if the directory is no run, or has no checkpoint.
      CheckpointError: if none of its checkpoints can be read.
      ConfigurationError: if its configuration cannot be used.
    """
    return Run(open_run_of(Trainable, Path(path), data_mesh()))


class Run:
    """A run directory with its averaged parameters, opened by `open_run`, `fit` or `train`.

    Data go in and come out in their own units: images as integer grey levels into `likelihood` and
    in [0, 1] out of `sample`, points as they are.
    """

    def __init__(self, opened: TrainedRun[Trainable]) -> None:
        self._opened = opened

    def __repr__(self) -> str:
        return f"<Run {self.name} in {self.path}, step {self.step:,}>"

    @property
    def path(self) -> Path:
        """The run directory."""
        return self._opened.directory.path

    @property
    def name(self) -> str:
        """The name of the experiment."""
        return self._opened.named.name

    @property
    def experiment(self) -> Trainable:
        """The experiment that was trained, with all of its settings."""
        return self._opened.experiment

    @property
    def step(self) -> int:
        """Number of updates that the parameters have had."""
        return self._opened.step

    @property
    def params(self) -> PyTree:
        """The averaged parameters."""
        return self._opened.params

    @property
    def layout(self) -> Layout:
        """Shape and scaling of the data."""
        return self._opened.layout

    def history(self) -> list[dict[str, Any]]:
        """Returns the lines of the training log: step, loss, held-out loss, rate and seconds."""
        return self._opened.directory.read_metrics()

    def score(self, condition: PyTree | None = None) -> NetworkScore:
        """Returns the score ``(x, t) -> array like x``, in model coordinates.

        Args:
          condition: what the network is told, such as ``Condition(label=...)``; None for nothing.

        Raises:
          TypeError: if the run is not that of a score model.
        """
        return dataclasses.replace(self._score_run("a score").score, condition=condition)

    def sample(
        self,
        key: PRNGKeyArray,
        count: int,
        *,
        frames: int = 0,
        batch_size: int = BATCH_SIZE,
        **settings: Any,
    ) -> Samples:
        """Draws samples, whose ``x`` is in the unit of the data: images in [0, 1].

        Sample j is a function of ``fold_in(key, j)``, whatever the count and the batch size.

        Args:
          key: fixes the samples.
          count: number of samples.
          frames: number of states to keep on the way of the first batch, in model coordinates.
          batch_size: number of samples drawn at once.
          **settings: fields of `SamplerSettings` that differ from the experiment's, such as
            ``sampler="unipc", steps=20``.

        Raises:
          TypeError: if the run has no samples.
          ValueError: if a setting is unknown, out of range, or not one of the sampler's.
        """
        run = self._generative_run("samples")
        draw = run.sample_fn(self._sampler_settings(run, settings), frames)
        parts = generate(
            draw, run.params, key=key, count=count, batch_size=batch_size, mesh=data_mesh()
        )
        samples = concatenate(parts)
        return samples._replace(x=jax.device_get(self.layout.scaling.to_unit(samples.x)))

    def likelihood(
        self,
        data: Float[Array, "count *shape"] | np.ndarray,
        *,
        key: PRNGKeyArray | None = None,
        steps: int | None = None,
        batch_size: int = BATCH_SIZE,
        **settings: Any,
    ) -> Measured:
        """Measures the likelihood of each example, with standard errors over probes.

        Example j is dequantized and probed by keys of its own, whatever the batch size.

        Args:
          data: integer grey levels ``[count, height, width, channels]`` for images, as the run's
            data have them; points as they are.
          key: fixes dequantization and probes; None for ``jax.random.key(0)``.
          steps: number of fixed steps of one evaluation each, placed for the run; None for the
            adaptive solver.
          batch_size: number of examples measured at once.
          **settings: fields of the experiment's likelihood that differ, such as ``probes=2``.

        Returns:
          Numpy arrays with a value for each example: ``nats``, ``bits_per_dim``, ``probe_stderr``,
          ``nfe``, ``converged``.

        Raises:
          TypeError: if the run has no likelihood, or no score for ``steps``.
          ValueError: if a setting is unknown or out of range, or the data do not fit the run.
        """
        run = self._generative_run("a likelihood")
        chosen = _with_settings(run.experiment.likelihood, settings)
        density: Density | None
        if steps is None:
            density = run.density(chosen)
        else:
            density = fixed_steps(self._score_run("fixed steps"), chosen)(steps)
        if density is None:
            raise TypeError(f"a {run.experiment.kind} has no likelihood.")
        parts = measure(
            density,
            run.params,
            _source_of(np.asarray(data), self.layout),
            GIVEN,
            key=jax.random.key(0) if key is None else key,
            count=None,
            batch_size=batch_size,
            mesh=data_mesh(),
        )
        return concatenate_measured(parts)

    def evaluate(self, **settings: Any) -> dict[str, Any]:
        """Evaluates the run as ``sde-jax evaluate`` does, and returns the record.

        Samples, likelihoods and the report are kept in the run directory; a repeated evaluation
        reads them.

        Args:
          **settings: fields of the experiment's `EvaluationSettings` that differ, such as
            ``count=1000``.

        Raises:
          TypeError: if the run has no samples.
          ValueError: if a setting is unknown, out of range, or does not fit the data.
        """
        run = self._generative_run("samples")
        task: Task = usual_task(run, data_mesh())
        chosen = _with_settings(task.settings, settings)
        return evaluate(dataclasses.replace(task, settings=chosen))

    def _generative_run(self, wanted: str) -> GenerativeRun:
        if not isinstance(self.experiment, Generative):
            raise TypeError(f"a {self.experiment.kind} has no {wanted.removeprefix('a ')}.")
        return cast(GenerativeRun, self._opened)

    def _score_run(self, wanted: str) -> ScoreRun:
        if not isinstance(self.experiment, ScoreExperiment):
            raise TypeError(f"a {self.experiment.kind} has no {wanted.removeprefix('a ')}.")
        return cast(ScoreRun, self._opened)

    def _sampler_settings(
        self, run: GenerativeRun, settings: dict[str, Any]
    ) -> SamplerSettings | None:
        default = run.experiment.sampling
        if default is None:
            if settings:
                raise ValueError(f"a {run.experiment.kind} has no sampler to set: got {settings}.")
            return None
        own = default.switched(settings.get("sampler", default.sampler))
        chosen = _with_settings(own, settings)
        chosen.check_changes(own)
        return chosen


def _with_settings(spec: Any, settings: dict[str, Any]) -> Any:
    """Replaces fields of a spec.

    Raises:
      ValueError: if it has no field of such a name, or a value is out of range.
    """
    known = [field.name for field in dataclasses.fields(spec)] if spec is not None else []
    for name in settings:
        if name not in known:
            raise ValueError(
                f"`{name}` is no setting here: there are {', '.join(known) or 'none'}."
            )
    return dataclasses.replace(spec, **settings) if settings else spec


@dataclass(frozen=True)
class _Unchanged:
    """The transform of points, which are in model coordinates already."""

    def sample(self, key: PRNGKeyArray, point: Array, label: Array | None = None) -> Batch:
        """Returns the point."""
        return Batch(jnp.asarray(point, jnp.float32), label)


def _source_of(data: np.ndarray, layout: Layout) -> DataSource:
    """Returns a source of the user's data alone.

    Raises:
      ValueError: if their shape or type is not that of the run's data.
    """
    if data.shape[1:] != layout.shape or not len(data):
        wanted = ", ".join(map(str, ("count", *layout.shape)))
        raise ValueError(f"`data` must have the shape [{wanted}]: got {list(data.shape)}.")
    if not isinstance(layout.scaling, ImageScaling):
        rows = {GIVEN: DeviceRows(data.astype(np.float32), None)}
        return RowSource(
            rows, _Unchanged(), _Unchanged(), shape=layout.shape, scaling=layout.scaling
        )
    if not np.issubdtype(data.dtype, np.integer):
        raise ValueError(
            f"`data` must be integer grey levels from 0 to {layout.scaling.levels - 1}: got "
            f"{data.dtype}."
        )
    if data.min() < 0 or data.max() >= layout.scaling.levels:
        raise ValueError(
            f"`data` must be grey levels from 0 to {layout.scaling.levels - 1}: got "
            f"{data.min()} to {data.max()}."
        )
    return ArraySource({GIVEN: data.astype(np.uint8)}, scaling=layout.scaling)
