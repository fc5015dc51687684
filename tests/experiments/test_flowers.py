"""What the flowers report, of a smaller run."""

import numpy as np
import PIL.Image
import pytest

from experiments import flowers_vp
from experiments.runs import open_run
from sde_jax.training.devices import data_mesh


@pytest.mark.slow
def test_three_samplers_are_drawn_side_by_side(digits_run, monkeypatch):
    monkeypatch.setattr(flowers_vp, "COUNT", 8)
    run = open_run(digits_run, data_mesh())
    found = flowers_vp.report(run)
    steps = run.experiment.sampling.steps
    assert found["evaluations"]["em"] == steps + 1
    assert found["evaluations"]["pc"] == 2 * steps + 1
    assert found["evaluations"]["ode"] > 10
    drawn = np.asarray(PIL.Image.open(found["pictures"]["samplers"]).convert("L"))
    assert drawn.shape[1] > 2 * drawn.shape[0] and len(np.unique(drawn)) > 16


def test_an_epoch_is_230_batches_and_there_are_200():
    """Of 8,189 flowers, 1,020 + 1,020 + 6,149, nine tenths of each split train."""
    size = 918 + 918 + 5534
    training = flowers_vp.experiment.training
    assert round(training.steps * training.batch_size / size) == 200
