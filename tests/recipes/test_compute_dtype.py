import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import tiny

from experiments.digits import digits_vp
from sde_jax.data import Batch, GaussianMixture
from sde_jax.nets.mlp import MLPSpec
from sde_jax.nets.spec import NetworkSpec
from sde_jax.runs.catalogue import find

points = dataclasses.replace(
    digits_vp(),
    data=GaussianMixture(),
    network=MLPSpec(width=32, depth=1),
    compute_dtype="bfloat16",
)


@pytest.fixture(scope="module")
def updated():
    """Losses before an update, and the state after it, in bfloat16 and in float32."""

    @functools.partial(jax.jit, static_argnums=0)
    def update(compute_dtype):
        learner = dataclasses.replace(points, compute_dtype=compute_dtype).learner((2,))
        state = learner.init(jax.random.key(0))
        params = jax.tree.map(lambda x: x + 0.1, state.params)
        state = state._replace(params=params, ema_params=params)
        batch = Batch(jax.random.normal(jax.random.key(1), (64, 2)), None)
        losses = learner.evaluate(state, jax.random.key(2), batch)
        return losses, *learner.update(state, jax.random.key(2), batch)

    return {name: update(name) for name in ("bfloat16", "float32")}


def test_it_rounds_inside_the_network(updated):
    (low, _, metrics), (high, _, exact) = updated.values()
    assert low.dtype == high.dtype == jnp.float32
    assert 1e-5 < np.abs(low / high - 1).max() < 0.1
    assert abs(metrics["grad_norm"] / exact["grad_norm"] - 1) < 0.05


def test_what_is_kept_is_float32(updated):
    state = updated["bfloat16"][1]
    types = {x.dtype.name for x in jax.tree.leaves((state.params, state.ema_params))}
    assert types == {"float32"}


def test_it_is_not_sampled_or_measured_so():
    assert points.model().network.dtype == jnp.float32


def drawing_in(name, dtype):
    """The program that draws samples of a tiny experiment."""
    experiment = find(tiny(name)).experiment
    layout, sampling = experiment.data.layout(), experiment.sampling
    sampler = dataclasses.replace(sampling, compute_dtype=dtype).build()
    draw = experiment.sample_fn(layout, sampler, experiment.data.load)
    state = jax.eval_shape(experiment.learner(layout.shape).init, jax.random.key(0))
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 2))
    return str(jax.make_jaxpr(draw)(state.params, keys, jax.ShapeDtypeStruct((2,), np.int32)))


@pytest.mark.parametrize("name", ["digits", "student", "conditional", "latent"])
def test_every_network_of_a_score_draws_in_bfloat16(name):
    assert "bf16" in drawing_in(name, "bfloat16")
    assert "bf16" not in drawing_in(name, "float32")


def test_other_models_draw_in_float32():
    with pytest.raises(ValueError, match="`compute_dtype` must be float32 for a DenoiserScore"):
        drawing_in("denoiser_prior", "bfloat16")


def test_a_network_without_a_type_of_its_own_is_refused():
    class Plain(nn.Module):
        @nn.compact
        def __call__(self, x, time, condition=None, *, deterministic=True):
            return nn.Dense(2)(x)

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class PlainSpec(NetworkSpec):
        def build(self):
            return Plain()

    plain = dataclasses.replace(points, network=PlainSpec())
    with pytest.raises(ValueError, match="`compute_dtype` must be float32 for a Plain, which has"):
        plain.learner((2,))
    dataclasses.replace(plain, compute_dtype="float32").learner((2,))
