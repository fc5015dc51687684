import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from toy_run import ToySource, changed, toy_learner

from sde_jax.training import (
    Learner,
    batch_sharding,
    compiled,
    data_mesh,
    gradient_learner,
    replicate,
    run_keys,
)
from sde_jax.training.compiled import held_out_loss, update_options


@pytest.mark.parametrize(("asked", "used"), [(None, 21), (16, 16), (17, 17), (5, 5)])
@pytest.mark.parametrize("devices", [1, 8])
def test_the_held_out_loss_counts_every_example_once(asked, used, devices):
    """The last of the batches of 16 is partial; the loss of an example is its first coordinate."""
    whole = toy_learner()
    learner = Learner(whole.init, whole.update, lambda state, key, batch: batch.x[:, 0])
    mesh = data_mesh(jax.devices()[:devices])
    source, key = ToySource(), run_keys(3).evaluation
    held_out = held_out_loss(learner, source, mesh, key, changed(eval_examples=asked))
    key_data, _ = jax.random.split(key)
    (everything,) = source.batches(key_data, "test", 21)
    expected = np.mean(everything.x[:used, 0])
    state = replicate(learner.init(key), mesh)
    np.testing.assert_allclose(held_out(state), expected, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:.*pmap:DeprecationWarning")
def test_an_update_on_the_mesh_equals_pmap(key):
    """Literal `jax.pmap` of one device's part of the step, the gradients averaged over devices."""

    def losses(params, seeds, batch, *, deterministic):
        hidden = jnp.tanh(batch.x @ params["w"] + params["b"][None])
        return (hidden @ params["v"] - batch.label) ** 2

    def per_device(params, opt_state, batch):
        def mean_loss(params):
            return losses(params, None, batch, deterministic=False).mean()

        loss, grads = jax.lax.pmean(jax.value_and_grad(mean_loss)(params), "data")
        updates, _ = optimizer.update(grads, opt_state, params)
        return loss, optax.apply_updates(params, updates)

    optimizer = optax.adam(0.01)
    params = toy_learner().init(key).params
    learner = gradient_learner(lambda key: params, losses, optimizer, ema_decay=0.9)
    batch = next(ToySource().stream(key, "train", 32))

    copies = jax.tree.map(lambda x: np.stack([x] * 8), (params, optimizer.init(params)))
    parts = jax.tree.map(lambda x: np.reshape(x, (8, 4, *x.shape[1:])), batch)
    expected_loss, expected = jax.pmap(per_device, axis_name="data")(*copies, parts)

    mesh = data_mesh()
    state, metrics = jax.jit(learner.update)(
        replicate(learner.init(key), mesh), key, jax.device_put(batch, batch_sharding(mesh))
    )
    np.testing.assert_allclose(metrics["loss"], expected_loss[0], rtol=1e-5)
    for name, value in state.params.items():
        np.testing.assert_allclose(value, expected[name][0], rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(expected[name][0], expected[name][7])
        assert not np.allclose(value, params[name], atol=1e-4)


def test_updates_leave_convolutions_to_the_faster_library(key):
    def loss(kernel, x):
        dimensions = ("NHWC", "HWIO", "NHWC")
        y = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=dimensions)
        return (jnp.tanh(y) ** 2).mean()

    x, kernel = jax.random.normal(key, (8, 16, 16, 32)), jax.random.normal(key, (3, 3, 32, 32))
    options = update_options("cpu")
    plain, chosen = (
        jax.jit(jax.grad(loss), compiler_options=each).lower(kernel, x).compile()
        for each in (None, options)
    )
    assert options is not None, "the oldest and the newest JAX that are tested know it"
    assert "__ynn_fusion" in plain.as_text()
    assert "__ynn_fusion" not in chosen.as_text()
    np.testing.assert_allclose(chosen(kernel, x), plain(kernel, x), rtol=1e-3, atol=1e-6)


def test_other_platforms_and_an_xla_without_the_option_are_told_nothing(monkeypatch):
    assert update_options("gpu") is None
    monkeypatch.setattr(compiled, "CPU_OPTIONS", {"xla_cpu_no_such_option": "1"})
    assert update_options.__wrapped__("cpu") is None
