"""Samples and likelihoods of a run for an evaluation, stored in a folder."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np

from sde_jax.atomic import write_json
from sde_jax.data import TEST
from sde_jax.data.shards import ShardedImages
from sde_jax.evaluation.announcement import announced
from sde_jax.evaluation.pieces import Columns, load_or_compute
from sde_jax.nets import Condition
from sde_jax.recipes.evaluation_settings import LEAST, EvaluationSettings
from sde_jax.recipes.interfaces import Measured
from sde_jax.recipes.serialization import to_config
from sde_jax.runs.conditions import condition_of, held_out_condition, needs_condition
from sde_jax.runs.generation import check_memory
from sde_jax.runs.levels import from_levels
from sde_jax.runs.mean_likelihood import mean_likelihood
from sde_jax.runs.measurement import measure, unit_of
from sde_jax.runs.shards import draw_shards, identity_of
from sde_jax.runs.trained_run import GenerativeRun, ScoreRun
from sde_jax.training.processes import of_first


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Samples of a run."""

    data: np.ndarray
    """Valid samples in the data's unit."""
    nfe: float
    """Mean number of network evaluations of a sample."""
    failed: list[int]
    """Numbers of the samples whose solver failed or that are not finite."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """Samples and likelihoods of a run, stored piece by piece: a killed task resumes exactly."""

    run: GenerativeRun
    settings: EvaluationSettings
    likelihood: Any
    seed: int = 0
    batch_size: int = 256
    condition: Condition | None = None
    """Condition of the samples; None for those of held-out data in turn, if the run needs one."""

    @functools.cached_property
    def conditional_run(self) -> GenerativeRun:
        """The run with the condition of the samples."""
        condition = self.condition
        if condition is None and needs_condition(self.run.experiment):
            source, count = self.run.source, self.settings.count
            condition = held_out_condition(self.run.experiment, source, count)
        return dataclasses.replace(self.run, condition=condition)

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that samples and likelihoods depend on."""
        settings, data = self.settings, to_config(self.run.experiment.data)
        return {
            **identity_of(
                self.conditional_run, settings.sampling, count=settings.count, seed=self.seed
            ),
            **({} if settings.likelihood_of == "images" else {"likelihood_of": "mean"}),
            "likelihood_count": settings.likelihood_count,
            "likelihood": to_config(self.likelihood),
            "data": {name: value for name, value in data.items() if name != "storage"},
        }

    @property
    def folder(self) -> Path:
        """The folder in the run, named by a hash of the identity."""
        digest = hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()
        name = f"at{self.run.step}-count{self.settings.count}-seed{self.seed}-{digest[:12]}"
        return self.run.directory.path / "evaluations" / name

    def prepare(self) -> None:
        """Writes the identity into the folder.

        Raises:
          OSError: if the folder cannot be written.
        """
        of_first(lambda: write_json(self.folder / "identity.json", self.identity))

    def check_samples(self) -> None:
        """Raises ValueError if the model has no such samples, or the memory cannot hold them."""
        run = self.conditional_run
        check_memory(run.sample_fn(self.settings.sampling), run.inputs, count=self.settings.count)

    def samples(self) -> Drawn:
        """Returns the samples: reads the stored ones and draws the others.

        Raises:
          ValueError: if too few samples are valid.
        """
        run, settings, folder = self.conditional_run, self.settings, self.folder / "samples"
        less = "`--count` asks for fewer"
        if settings.sampling is not None:
            less += ", `--sampling.sampler` and `--sampling.steps` for fewer evaluations"
        shards = draw_shards(
            run,
            settings.sampling,
            folder,
            count=settings.count,
            seed=self.seed,
            batch_size=self.batch_size,
            announce=functools.partial(announced, what="samples", less=less),
        )
        failed = [number for shard in shards for number in shard.failed]
        valid = settings.count - len(failed)
        if valid < LEAST:
            raise ValueError(
                f"only {valid} of {settings.count} samples are finite, and metrics need {LEAST}: "
                "train longer, or choose another sampler."
            )
        images = ShardedImages(folder, shards)
        return Drawn(
            data=from_levels(images[np.arange(len(images))], run.layout.scaling),
            nfe=sum(shard.nfe * shard.length for shard in shards) / settings.count,
            failed=failed,
        )

    def likelihoods(self) -> Measured:
        """Returns the likelihoods of the test split."""
        columns = load_or_compute(self.folder / "likelihoods", self._likelihood_pieces)
        return Measured(**columns)

    def mean_likelihood(self) -> Columns:
        """Returns the mean likelihood of the test split, as columns of one row."""
        return load_or_compute(self.folder / "mean_likelihood", self._mean_pieces)

    def _mean_pieces(self, start: int) -> Iterator[Columns]:
        if start:
            return
        mean, size = mean_likelihood(
            cast(ScoreRun, self.run),
            self.likelihood,
            TEST,
            count=self.settings.likelihood_count,
            seed=self.seed,
            batch_size=self.batch_size,
        )
        mean = mean.scaled(unit_of(self.run.layout).factor)
        found = {"value": mean.mean, "stderr": mean.stderr, "solver_stderr": mean.solver_stderr}
        yield {
            name: np.asarray([x]) for name, x in {**found, "nfe": mean.nfe, "count": size}.items()
        }

    def _likelihood_pieces(self, start: int) -> Iterator[Columns]:
        run, density = self.run, self.run.density(self.likelihood)
        assert density is not None
        parts = measure(
            density,
            run.params,
            run.source,
            TEST,
            key=jax.random.key(self.seed),
            count=self.settings.likelihood_count,
            batch_size=self.batch_size,
            start=start,
            condition_of=functools.partial(condition_of, run),
        )
        size = run.source.sizes[TEST]
        count = min(self.settings.likelihood_count or size, size) - start
        less = "`--likelihood-count` asks for fewer"
        known = announced(parts, count, what="likelihoods", less=less)
        return ({k: v for k, v in part._asdict().items() if v is not None} for part in known)


def usual_task(run: GenerativeRun) -> Task:
    """Returns the task of `evaluate RUN` without options."""
    experiment = run.experiment
    return Task(run=run, settings=experiment.evaluation, likelihood=experiment.likelihood)
