import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sde_jax.training import Adam


def adam_by_hand(gradients, rates, clip_norm, clip_eps=0.0, b1=0.9, b2=0.999, adam_eps=1e-8):
    """Algorithm 1 of Kingma and Ba, in float64, on gradients scaled to at most ``clip_norm``."""
    x, m, v = np.zeros(2), np.zeros(2), np.zeros(2)
    for n, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        gradient = gradient * min(1, clip_norm / (np.linalg.norm(gradient) + clip_eps))
        m = b1 * m + (1 - b1) * gradient
        v = b2 * v + (1 - b2) * gradient**2
        x = x - rate * (m / (1 - b1**n)) / (np.sqrt(v / (1 - b2**n)) + adam_eps)
    return x


@pytest.mark.parametrize("clip_eps", [0.0, 0.5])
def test_steps_are_those_of_adam_with_the_global_norm_clipped(clip_eps):
    spec = Adam(learning_rate=0.1, warmup_steps=2, clip_norm=1.0, clip_eps=clip_eps)
    optimizer = spec.build(10)
    gradients = np.array([[3.0, 4.0], [0.1, -0.2], [-6.0, 8.0], [0.5, 0.5]])
    params = {"a": jnp.zeros(()), "b": jnp.zeros(())}
    state = optimizer.init(params)
    for a, b in gradients:
        updates, state = optimizer.update({"a": jnp.float32(a), "b": jnp.float32(b)}, state, params)
        params = optax.apply_updates(params, updates)
    expected = adam_by_hand(gradients, [0.05, 0.1, 0.1, 0.1], 1.0, clip_eps)
    np.testing.assert_allclose([params["a"], params["b"]], expected, rtol=1e-5)
    assert optax.tree.get(state, "hyperparams")["learning_rate"] == np.float32(0.1)


def test_warm_up_is_linear_and_starts_above_zero():
    rates = Adam(learning_rate=2.0, warmup_steps=4).schedule(100)(jnp.arange(6))
    np.testing.assert_allclose(rates, [0.5, 1.0, 1.5, 2.0, 2.0, 2.0], rtol=1e-6)


def test_the_published_warm_up_starts_at_zero():
    """``lr min(n / warmup, 1)`` with n = 0 at the first step, and no warm-up where it has none."""
    rates = Adam(learning_rate=2.0, warmup_steps=4, warmup_start=0).schedule(100)(jnp.arange(6))
    np.testing.assert_allclose(rates, [0.0, 0.5, 1.0, 1.5, 2.0, 2.0], rtol=1e-6)
    assert Adam(learning_rate=2.0, warmup_start=0).schedule(100)(jnp.asarray(0)) == 2.0


@pytest.mark.parametrize("size", [0.5, 1.0, 40.0])
def test_clipping_follows_optax_unless_told_otherwise(size):
    """``g c / max(|g|, c)``, the rule of the published JAX code, and ``g c / (|g| + 1e-6)``."""
    gradients = {"a": jnp.asarray([0.6 * size]), "b": jnp.asarray(0.8 * size)}
    expected, _ = optax.clip_by_global_norm(1.0).update(gradients, optax.EmptyState())
    clipped = first_moments(Adam(clip_norm=1.0), gradients)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), clipped, expected)
    shorter = first_moments(Adam(clip_norm=1.0, clip_eps=0.01), gradients)
    np.testing.assert_allclose(shorter["b"], 0.8 * size * min(1, 1 / (size + 0.01)), rtol=1e-6)


def first_moments(spec, gradients):
    """What Adam makes a mean of, from its state after one step: there is b1 of nothing in it."""
    optimizer = spec.build(1)
    _, state = optimizer.update(gradients, optimizer.init(gradients), gradients)
    return jax.tree.map(lambda moment: moment / (1 - spec.b1), optax.tree.get(state, "mu"))


def test_cosine_falls_to_zero_at_the_last_step():
    schedule = Adam(learning_rate=2.0, warmup_steps=20, decay="cosine").schedule(100)
    rates = schedule(jnp.array([19, 20, 40, 60, 80, 100]))
    half = np.sqrt(0.5)
    np.testing.assert_allclose(rates, [2, 2, 1 + half, 1, 1 - half, 0], atol=1e-6)


def test_a_run_shorter_than_its_warm_up_only_rises():
    rates = Adam(learning_rate=1.0, warmup_steps=10, decay="cosine").schedule(4)(jnp.arange(4))
    np.testing.assert_allclose(rates, [0.1, 0.2, 0.3, 0.4], rtol=1e-6)


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("learning_rate", 0.0, "be positive and finite"),
        ("learning_rate", float("nan"), "be positive and finite"),
        ("warmup_steps", -1, "be at least 0"),
        ("warmup_start", 2, "be one of 0, 1"),
        ("decay", "linear", "be one of constant, cosine"),
        ("clip_norm", 0.0, "be positive, or None"),
        ("clip_eps", -1e-6, "be at least 0"),
        ("b1", 1.0, "lie in [0, 1)"),
        ("b2", -0.1, "lie in [0, 1)"),
        ("adam_eps", 0.0, "be positive"),
    ],
)
def test_errors_name_field_rule_and_value(field, value, rule):
    with pytest.raises(ValueError) as error:
        Adam(**{field: value})
    assert f"`{field}` must {rule}" in str(error.value)
    assert f"{field}={value!r}" in str(error.value)
