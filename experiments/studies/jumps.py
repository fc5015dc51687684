"""Samples of a student in few evaluations beside those of its teacher."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.studies.answers import error
from experiments.studies.study import Report
from sde_jax import figures
from sde_jax.arrays import Float
from sde_jax.evaluation import evaluate, usual_task
from sde_jax.recipes import SamplerSettings, Student
from sde_jax.runs import GenerativeRun, draw_all, open_run, open_run_of

EVALUATIONS = (1, 2, 4)
SHOWN = 10
COMPARED = 256


@dataclass(frozen=True, kw_only=True)
class Jumps(Report):
    """Fréchet distances in one, two and four evaluations, and the distance to the teacher.

    Teacher and student start from the same noise. ``distance_to_teacher`` is the root mean square
    over pixels, in the data's unit, between their samples. In one evaluation it is the error of the
    student's map; further evaluations add noise of their own.
    """

    def measure(self, runs: Path, pictures: Path) -> dict[str, Any]:
        """Returns the distances and draws ``jumps.png``."""
        run = open_run_of(Student, runs / self.run)
        settings = [replace(run.experiment.sampling, steps=count) for count in EVALUATIONS]
        shown, distances = {}, {}
        teacher = None
        if run.experiment.teacher is not None:
            taught_by = open_run(Path(run.experiment.teacher))
            teacher = drawn(taught_by, taught_by.experiment.evaluation.sampling)
            shown["teacher"] = teacher[:SHOWN, None]
        frechet = {}
        for count, sampling in zip(EVALUATIONS, settings, strict=True):
            samples, name = drawn(run, sampling), f"in {count}"
            shown[name] = samples[:SHOWN, None]
            if teacher is not None:
                distances[name] = error(samples, teacher)
            task = usual_task(run)
            own = replace(task.settings, sampling=sampling, metrics=("frechet",))
            frechet[name] = frechet_of(evaluate(replace(task, settings=own)))
        figures.image_rows(shown, pictures / "jumps.png")
        return {"frechet_distance": frechet, "distance_to_teacher": distances}


def drawn(
    run: GenerativeRun, sampling: SamplerSettings | None
) -> Float[np.ndarray, "count height width channels"]:
    """Returns samples in the data's unit, each from its own noise whatever the run."""
    draw = run.sample_fn(sampling)
    samples = draw_all(draw, run.params, count=COMPARED, batch_size=COMPARED, key=jax.random.key(0))
    return np.asarray(run.layout.scaling.to_unit(samples.x))


def frechet_of(record: dict[str, Any]) -> Any:
    """Returns the first Fréchet distance of samples in the record of an evaluation."""
    found = (
        f for f in record["findings"] if f["metric"] == "frechet_distance" and f["of"] == "run"
    )
    first = next(found)
    return {"value": first["value"], "stderr": first["stderr"]}
