"""A trained run as a Python object."""

import dataclasses
import functools
from pathlib import Path
from typing import Any, NoReturn, cast

import jax
import numpy as np

from sde_jax.api.given_data import GIVEN, source_of
from sde_jax.api.mode import Maximum, find_maximum
from sde_jax.api.settings import check_fixed, sampler_settings, with_settings
from sde_jax.arguments import check_counts
from sde_jax.arrays import Array, Float, PRNGKeyArray, PyTree, single_precision
from sde_jax.data import Layout
from sde_jax.evaluation.evaluation import evaluate
from sde_jax.evaluation.task import usual_task
from sde_jax.nets import Condition
from sde_jax.randomness import one_key
from sde_jax.recipes.generative import Generative
from sde_jax.recipes.interfaces import Density, Draw, Measured
from sde_jax.recipes.sampler_settings import SamplerSettings
from sde_jax.recipes.score import ScoreExperiment
from sde_jax.recipes.trainable import Trainable
from sde_jax.runs.conditions import condition_of, given
from sde_jax.runs.generation import draw_all
from sde_jax.runs.measurement import concatenate, measure
from sde_jax.runs.steps import fixed_steps
from sde_jax.runs.trained_run import Kind, TrainedRun
from sde_jax.sampling import Samples
from sde_jax.score import NetworkScore

BATCH_SIZE = 256
PROGRAMS = 8
"""Number of samplers and of likelihoods of a run that stay compiled."""


class Run:
    """A run directory with its averaged parameters, opened by `open_run`, `fit` or `train`.

    Images go into `likelihood` as integer grey levels and come out of `sample` in [0, 1]; other
    numbers are in their own unit. A call with the settings of an earlier one reuses its program.
    """

    def __init__(self, opened: TrainedRun[Trainable]) -> None:
        self._opened = opened
        self._draw = functools.lru_cache(PROGRAMS)(self._build_draw)
        self._density = functools.lru_cache(PROGRAMS)(self._build_density)

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
          condition: the network's condition, such as ``Condition(label=...)``; None for none.

        Returns:
          The score of the averaged parameters, for every sampler and likelihood of the library.

        Raises:
          TypeError: if the run is not that of a score model.
        """
        return dataclasses.replace(
            self._of_kind(ScoreExperiment, "score").score, condition=condition
        )

    @single_precision()
    def sample(
        self,
        key: PRNGKeyArray,
        count: int,
        condition: Any = None,
        *,
        weight: float = 0.0,
        frames: int = 0,
        batch_size: int = BATCH_SIZE,
        **settings: Any,
    ) -> Samples:
        """Draws samples. Sample j is a function of ``fold_in(key, j)``, whatever the count.

        Args:
          key: fixes the samples.
          count: number of samples.
          condition: for conditional runs, vectors ``[size]`` or ``[count, size]`` in their own
            unit, or class labels: one for all samples or one for each.
          weight: weight of classifier-free guidance by the condition; see
            `ClassifierFreeGuidance`.
          frames: number of states to record after the first one, for samples of the first batch.
          batch_size: number of samples drawn at once.
          **settings: fields of `SamplerSettings` that differ from the experiment's, such as
            ``sampler="unipc", steps=20``.

        Returns:
          Numpy arrays with a row for each sample. ``x`` is in the unit of the data: images in
          [0, 1]. ``trajectory``, the recorded states, is in model coordinates.

        Raises:
          TypeError: if the run has no samples.
          ValueError: if a setting is unknown, out of range, or not one of the sampler's, the model
            has no states on the way, ``condition`` does not fit the run, or ``key`` is not one key.
        """
        key = one_key(key)
        check_counts(count=count, batch_size=batch_size)
        run = self._of_kind(Generative, "samples")
        run = given(run, condition, count=count, of="samples", weight=weight)
        if frames and run.experiment.process is None:
            raise ValueError(f"`frames` must be 0 for a {run.experiment.kind}: got {frames}.")
        draw = self._draw(sampler_settings(run.experiment.sampling, settings), frames)
        samples = draw_all(draw, run.inputs, count=count, batch_size=batch_size, key=key)
        return samples._replace(x=jax.device_get(self.layout.scaling.to_unit(samples.x)))

    @single_precision()
    def likelihood(
        self,
        data: Float[Array, "count *shape"] | np.ndarray,
        condition: Any = None,
        *,
        key: PRNGKeyArray | None = None,
        steps: int | None = None,
        batch_size: int = BATCH_SIZE,
        **settings: Any,
    ) -> Measured:
        """Measures the likelihood of each example, with standard errors over probes.

        Example j is dequantized and probed by keys of its own, whatever the batch size.

        Args:
          data: integer grey levels ``[count, height, width, channels]`` for images, on the scale of
            the run's data; points as they are.
          condition: as for `sample`, one for all examples or one for each.
          key: fixes dequantization and probes; None for ``jax.random.key(0)``.
          steps: number of fixed steps of one evaluation each, placed for the run, without the
            error that training examples share; None for the adaptive solver.
          batch_size: number of examples measured at once.
          **settings: fields of the experiment's likelihood that differ, such as ``probes=2``.

        Returns:
          Numpy arrays with a value for each example: ``nats``, ``bits_per_dim``, ``probe_stderr``,
          ``nfe``, ``converged``, and ``draw_stderr`` if there are several draws.

        Raises:
          TypeError: if the run has no likelihood, or no score for ``steps``.
          ValueError: if a setting is unknown or out of range, data or ``condition`` do not fit the
            run, or ``key`` is not one key.
        """
        key = jax.random.key(0) if key is None else one_key(key)
        check_counts(batch_size=batch_size)
        run = self._of_kind(Generative, "likelihood")
        source = source_of(data, self.layout)
        run = given(run, condition, count=source.sizes[GIVEN], of="examples")
        if steps is not None:
            self._of_kind(ScoreExperiment, "likelihood in fixed `steps`")
            check_fixed(steps, settings)
        chosen = with_settings(run.experiment.likelihood, settings)
        density = self._density(chosen, steps, run.condition is not None)
        parts = measure(
            density,
            run.params,
            source,
            GIVEN,
            key=key,
            count=None,
            batch_size=batch_size,
            condition_of=functools.partial(condition_of, run),
        )
        return concatenate(parts)

    def log_density(
        self,
        data: Float[Array, "count *shape"] | np.ndarray,
        condition: Any = None,
        **settings: Any,
    ) -> np.ndarray:
        """Returns the log density of each example in the data's own unit, in nats.

        Args:
          data: as for `likelihood`.
          condition: as for `likelihood`.
          **settings: as for `likelihood`: ``key``, ``steps``, ``batch_size``, and its fields.

        Returns:
          Nats ``[count]``, of integers a bound of log probability; NaN where the solver failed.

        Raises:
          TypeError, ValueError: as `likelihood`.
        """
        return self.likelihood(data, condition, **settings).nats

    def maximum(
        self, condition: Any = None, *, key: PRNGKeyArray | None = None, **settings: Any
    ) -> Maximum:
        """Finds the mode of the density of continuous data: see `find_maximum`.

        Args:
          condition: for conditional runs, a vector ``[size]`` or a label; or several ``[rows,
            size]``, each with a mode of its own.
          key: fixes the samples that the search starts from; None for ``jax.random.key(0)``.
          **settings: fields of the experiment's likelihood that differ.

        Returns:
          The mode ``x`` in the data's own unit, and its log density ``nats`` there; arrays of them
          for several conditions.

        Raises:
          TypeError: if the run is not that of a score model.
          ValueError: if the data are integers, ``condition`` does not fit the run, or a setting is
            unknown or out of range.
        """
        run = self._of_kind(ScoreExperiment, "maximum")
        chosen = with_settings(run.experiment.likelihood, settings)
        key = jax.random.key(0) if key is None else one_key(key)
        return find_maximum(run, condition, chosen, key)

    @single_precision()
    def evaluate(self, **settings: Any) -> dict[str, Any]:
        """Evaluates the run as ``sde-jax evaluate`` does.

        Samples, likelihoods and the report are kept in the run directory; a repeated evaluation
        reads them.

        Args:
          **settings: fields of the experiment's `EvaluationSettings` that differ, such as
            ``count=1000``.

        Returns:
          The record, with the results as ``findings``.

        Raises:
          TypeError: if the run has no samples.
          ValueError: if a setting is unknown, out of range, or does not fit the data.
        """
        task = usual_task(self._of_kind(Generative, "samples"))
        chosen = with_settings(task.settings, settings)
        return evaluate(dataclasses.replace(task, settings=chosen))

    def _build_draw(self, settings: SamplerSettings | None, frames: int) -> Draw:
        return self._of_kind(Generative, "samples").sample_fn(settings, frames)

    def _build_density(self, settings: Any, steps: int | None, conditional: bool) -> Density:
        if steps is not None:
            run = self._of_kind(ScoreExperiment, "likelihood")
            # The density depends on whether there is a condition, not on which.
            run = dataclasses.replace(run, condition=Condition() if conditional else None)
            return fixed_steps(run, settings).corrected(steps)[0]
        density = self._of_kind(Generative, "likelihood").density(settings)
        return self._lacks("likelihood") if density is None else density

    def _of_kind(self, kind: type[Kind], wanted: str) -> TrainedRun[Kind]:
        if not isinstance(self.experiment, kind):
            self._lacks(wanted)
        return cast(TrainedRun[Kind], self._opened)

    def _lacks(self, wanted: str) -> NoReturn:
        raise TypeError(f"{self.path} is the run of a {self.experiment.kind}: it has no {wanted}.")
