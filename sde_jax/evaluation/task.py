"""Samples and likelihoods of a run for an evaluation, stored in a folder."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sde_jax.atomic import write_json
from sde_jax.data import TEST
from sde_jax.evaluation.announcement import announced
from sde_jax.evaluation.levels import from_levels, to_levels
from sde_jax.evaluation.pieces import Columns, load_or_compute
from sde_jax.recipes.evaluation_settings import LEAST, EvaluationSettings
from sde_jax.recipes.interfaces import Measured
from sde_jax.recipes.serialization import to_config
from sde_jax.runs.generation import generate, is_valid
from sde_jax.runs.measurement import measure
from sde_jax.runs.trained_run import GenerativeRun
from sde_jax.training import checksum


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

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that samples and likelihoods depend on."""
        settings, data = self.settings, to_config(self.run.experiment.data)
        return {
            "experiment": self.run.named.name,
            "step": self.run.step,
            "weights": f"{checksum(self.run.state.ema_params):08x}",
            "seed": self.seed,
            "count": settings.count,
            "sampling": to_config(settings.sampling),
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
        write_json(self.folder / "identity.json", self.identity)

    def samples(self) -> Drawn:
        """Returns the samples: reads the stored ones and draws the others.

        Raises:
          ValueError: if too few samples are valid.
        """
        scaling = self.run.layout.scaling
        columns = load_or_compute(self.folder / "samples", self._sample_pieces)
        whole = columns["usable"]
        if whole.sum() < LEAST:
            raise ValueError(
                f"only {whole.sum()} of {len(whole)} samples are finite, and metrics need {LEAST}: "
                "train longer, or choose another sampler."
            )
        return Drawn(
            data=from_levels(columns["data"][whole], scaling),
            nfe=float(columns["nfe"].mean()),
            failed=np.flatnonzero(~whole).tolist(),
        )

    def likelihoods(self) -> Measured:
        """Returns the likelihoods of the test split."""
        columns = load_or_compute(self.folder / "likelihoods", self._likelihood_pieces)
        return Measured(**columns)

    def _sample_pieces(self, start: int) -> Iterator[Columns]:
        run, scaling = self.run, self.run.layout.scaling
        parts = generate(
            run.sample_fn(self.settings.sampling),
            run.params,
            key=jax.random.key(self.seed),
            count=self.settings.count,
            batch_size=self.batch_size,
            start=start,
        )
        less = "`--count` asks for fewer"
        if self.settings.sampling is not None:
            less += ", `--sampling.sampler` and `--sampling.steps` for fewer evaluations"
        for part in announced(parts, self.settings.count - start, what="samples", less=less):
            data = to_levels(np.asarray(scaling.to_unit(part.x)), scaling)
            yield {"data": data, "nfe": np.asarray(part.nfe), "usable": is_valid(part)}

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
