"""Pictures of samples that a run draws while it trains."""

import dataclasses

import flax.linen as nn
import jax
import numpy as np
import PIL.Image
import pytest
from in_process import RING, succeed

from experiments.digits import digits_vp
from sde_jax import array_figures
from sde_jax.nets.spec import NetworkSpec
from sde_jax.runs import snapshots
from sde_jax.runs.generation import concatenate, generate
from sde_jax.runs.trained_run import open_run
from sde_jax.sampling import UniformGrid


class PixelWise(nn.Module):
    """Predicts noise that is nearly the image: samples stay small."""

    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic=True):
        return x + 0.3 * nn.Dense(x.shape[-1])(nn.tanh(nn.Dense(4)(x)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class PixelWiseSpec(NetworkSpec):
    def build(self):
        return PixelWise()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counting:
    """A sampler that counts how often it is traced."""

    traces: list = dataclasses.field(default_factory=list)

    def __call__(self, *arguments):
        self.traces.append("traced")
        return SAMPLER(*arguments)


SAMPLER = dataclasses.replace(snapshots.SAMPLER, grid=UniformGrid(steps=20))


def training(batch_size):
    whole = digits_vp()
    return dataclasses.replace(
        whole,
        network=PixelWiseSpec(),
        training=dataclasses.replace(whole.training, batch_size=batch_size),
    )


@pytest.mark.parametrize(("most", "batch_size", "count"), [(12, 128, 12), (36, 16, 16)])
def test_they_are_the_first_samples_of_the_averaged_parameters(
    tmp_path, monkeypatch, most, batch_size, count
):
    """As `generate`, which `sample` uses, draws them with seed 0; compiled once for all states."""
    monkeypatch.setattr(snapshots, "COUNT", most)
    drawn, counting = [], Counting()
    monkeypatch.setattr(snapshots, "SAMPLER", counting)
    monkeypatch.setattr(array_figures, "draw_picture", lambda data, *_: drawn.append(data))
    experiment = training(batch_size)
    layout = experiment.data.layout()
    draw = snapshots.snapshots(experiment, experiment.data.load())
    init = jax.jit(experiment.learner(layout.shape).init)
    for seed in (1, 2):
        state, other = (init(jax.random.key(n)) for n in (seed, seed + 10))
        draw(state._replace(ema_params=other.params), tmp_path / "picture.png")
        samples = concatenate(
            generate(
                experiment.sample_fn(layout, SAMPLER, experiment.data.load),
                other.params,
                key=jax.random.key(0),
                count=count,
                batch_size=8,
            )
        )
        assert drawn[-1].shape == (count, 8, 8, 1)
        expected = np.asarray(layout.scaling.to_unit(samples.x))
        assert np.isclose(drawn[-1], expected, atol=1e-4).mean() > 0.99
        assert expected.std() > 0.05
    assert np.isclose(drawn[0], drawn[1], atol=1e-4).mean() < 0.9
    assert counting.traces == ["traced"]


@pytest.mark.slow("tests/training/test_pictures.py::test_pictures_are_drawn_and_change_nothing")
def test_a_run_with_pictures_is_the_run_without(ring_run, tmp_path):
    succeed("train", "ring", "--workdir", tmp_path / "run", *RING, "--training.sample-every", 2)
    with_pictures, without = (open_run(run).state for run in (tmp_path / "run", ring_run))
    jax.tree.map(np.testing.assert_array_equal, with_pictures, without)
    for step in (2, 4):
        with PIL.Image.open(tmp_path / "run" / "pictures" / f"samples-{step}.png") as picture:
            assert min(picture.size) > 100
    results = succeed("watch", tmp_path / "run")
    assert results["picture"] == "pictures/samples-4.png"
