"""Samples of a conditional model beside a regression and the truth."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.studies.study import Report
from sde_jax import figures
from sde_jax.arrays import Float
from sde_jax.data import TEST
from sde_jax.metrics import mean_estimate
from sde_jax.recipes import QUESTIONS, Conditional
from sde_jax.runs import draw_all, open_run_of

ANSWERS = 4
SHOWN = 10
BATCH_SIZE = 256


@dataclass(frozen=True, kw_only=True)
class Answers(Report):
    """Errors of four samples for each of the first held-out images, and of the regression.

    Errors are root mean squares over images and pixels, in the data's unit, with the standard error
    over images. A regression has the least error of all answers. A correct sample has sqrt(2) times
    the deviation of the true answers; the mean of four lies between. ``deviation`` is that of the
    four samples, which a regression does not show.
    """

    def measure(self, runs: Path, pictures: Path) -> dict[str, Any]:
        """Returns the errors and draws ``answers.png``."""
        run = open_run_of(Conditional, runs / self.run)
        to_unit = run.layout.scaling.to_unit
        model, source = run.experiment.model(), run.source
        x = next(source.batches(jax.random.key(0), TEST, QUESTIONS, count=QUESTIONS)).x
        questions = run.experiment.questions(source)
        regressed = jax.jit(lambda params, y: model.regress(params, y, x.shape[-1]))
        mean = np.asarray(to_unit(regressed(run.params, questions)))
        draw, count = run.sample_fn(run.experiment.evaluation.sampling), ANSWERS * len(questions)
        drawn = draw_all(draw, run.params, count=count, batch_size=BATCH_SIZE).x
        answers = np.asarray(to_unit(drawn)).reshape(ANSWERS, *mean.shape)
        given, truth = np.asarray(to_unit(questions)), np.asarray(to_unit(x))
        figures.image_rows(
            {
                "given": given[:SHOWN, None],
                "regression": mean[:SHOWN, None],
                "four draws": answers.swapaxes(0, 1)[:SHOWN],
                "truth": truth[:SHOWN, None],
            },
            pictures / "answers.png",
        )
        return {
            "rmse": {
                "regression": error(mean, truth),
                "one_draw": error(answers[0], truth),
                "mean_of_draws": error(answers.mean(axis=0), truth),
            },
            "deviation": float(np.sqrt(answers.var(axis=0, ddof=1).mean())),
            "count": len(truth),
        }


def error(answer: Float[np.ndarray, "count ..."], truth: Float[np.ndarray, "count ..."]) -> Any:
    """Returns the root mean square over images and pixels, with its error over images."""
    squares = ((answer - truth) ** 2).reshape(len(truth), -1).mean(axis=1)
    square = mean_estimate(squares)
    root = square.value**0.5
    return {"value": root, "stderr": square.stderr / (2 * root)}
