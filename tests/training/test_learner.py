import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sde_jax.data import Batch
from sde_jax.training import Adam, gradient_learner


def linear_learner(ema_decay, optimizer=None, **settings):
    """The loss of example x is x * w: the gradient is the mean of x, whatever w is."""

    def losses(params, seeds, batch, *, deterministic):
        return batch.x * params["w"] + (0.0 if deterministic else 100.0)

    def init_params(key):
        return {"w": jnp.float32(1.0)}

    optimizer = optimizer or optax.sgd(0.5)
    return gradient_learner(init_params, losses, optimizer, ema_decay=ema_decay, **settings)


@pytest.mark.parametrize("ema_warmup", [True, False])
def test_update_descends_the_mean_and_averages_with_warm_up(ema_warmup, key):
    learner = linear_learner(ema_decay=0.3, ema_warmup=ema_warmup)
    state = learner.init(key)
    w = ema = 1.0
    for n, x in enumerate(([1.0, 3.0], [-2.0, -4.0], [0.5, 0.5], [1.0, 1.0]), start=1):
        batch = Batch(jnp.array(x), None)
        state, metrics = learner.update(state, key, batch)
        np.testing.assert_allclose(metrics["loss"], np.mean(x) * w + 100, rtol=1e-6)
        np.testing.assert_allclose(metrics["grad_norm"], abs(np.mean(x)), rtol=1e-6)
        w -= 0.5 * np.mean(x)
        decay = min(0.3, (1 + n) / (10 + n)) if ema_warmup else 0.3
        ema = decay * ema + (1 - decay) * w
        np.testing.assert_allclose(state.params["w"], w, rtol=1e-6)
        np.testing.assert_allclose(state.ema_params["w"], ema, rtol=1e-6)
        assert state.step == n
    assert set(metrics) == {"loss", "grad_norm"}


def test_evaluation_is_deterministic_and_uses_the_average(key):
    learner = linear_learner(ema_decay=0.9)
    state = learner.init(key)._replace(ema_params={"w": jnp.float32(7.0)})
    losses = learner.evaluate(state, key, Batch(jnp.array([1.0, 2.0]), None))
    np.testing.assert_allclose(losses, [7.0, 14.0])


def test_the_norm_is_that_before_clipping_and_the_learning_rate_is_reported(key):
    optimizer = Adam(learning_rate=0.5, warmup_steps=2, clip_norm=1.0).build(10)
    learner = linear_learner(0.9, optimizer)
    state, metrics = learner.update(learner.init(key), key, Batch(jnp.array([30.0]), None))
    assert metrics["grad_norm"] == 30.0
    assert metrics["learning_rate"] == 0.25
    _, metrics = learner.update(state, key, Batch(jnp.array([30.0]), None))
    assert metrics["learning_rate"] == 0.5


def test_the_state_can_be_donated(key):
    learner = linear_learner(0.9)
    update = jax.jit(learner.update, donate_argnums=0)
    state, _ = update(learner.init(key), key, Batch(jnp.ones(2), None))
    assert state.params["w"] == 0.5


@pytest.mark.parametrize("ema_decay", [1.0, -0.1])
def test_ema_decay_out_of_range(ema_decay):
    with pytest.raises(ValueError, match=r"`ema_decay` must lie in \[0, 1\)"):
        linear_learner(ema_decay)
