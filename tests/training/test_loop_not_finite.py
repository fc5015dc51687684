import json

import jax
import jax.numpy as jnp
import pytest
from toy_run import lines, run_toy, toy_learner, toy_losses

from sde_jax.training import Checkpoints, Learner, NonFiniteError


def bad_from(step, how):
    """A learner whose loss is ``how`` from update number ``step`` on, counted from 1."""
    learner = toy_learner()

    def update(state, key, batch):
        new, metrics = learner.update(state, key, batch)
        is_bad = state.step >= step - 1
        return new, {**metrics, "loss": jnp.where(is_bad, how, metrics["loss"])}

    return Learner(learner.init, update, learner.evaluate)


@pytest.mark.parametrize(
    ("step", "good"),
    [
        pytest.param(3, "does not exist", marks=pytest.mark.slow),
        pytest.param(13, "is that of step 12", marks=pytest.mark.slow),
        (16, "is that of step 12"),
    ],
)
def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, step, good):
    with pytest.raises(NonFiniteError) as error:
        run_toy(tmp_path, learner=bad_from(step, jnp.nan))
    assert str(error.value) == (
        f"loss is nan at step {step} (seed 3); the last good checkpoint, in "
        f"{tmp_path / 'checkpoints'}, {good}"
    )
    assert max(json.loads(line)["step"] for line in lines(tmp_path) or ['{"step": 0}']) < step


def test_the_first_bad_step_is_named_whatever_is_bad(tmp_path):
    """Of steps 5 and 6, fetched together: the loss at 5, the norm, which comes first, at 6."""
    learner = toy_learner()

    def update(state, key, batch):
        new, metrics = learner.update(state, key, batch)
        metrics = {
            "grad_norm": jnp.where(state.step == 5, jnp.inf, metrics["grad_norm"]),
            "loss": jnp.where(state.step == 4, jnp.nan, metrics["loss"]),
        }
        return new, metrics

    broken = Learner(learner.init, update, learner.evaluate)
    with pytest.raises(NonFiniteError, match="^loss is nan at step 5 "):
        run_toy(tmp_path, learner=broken)


def test_a_gradient_that_is_not_finite_stops_the_run(tmp_path):
    """The square root's gradient at zero is infinite though the loss is not."""

    def losses(params, seeds, batch, *, deterministic):
        return jnp.sqrt((params["v"] * 0.0).sum()) + toy_losses(
            params, seeds, batch, deterministic=deterministic
        )

    with pytest.raises(NonFiniteError, match="grad_norm is nan at step 1 "):
        run_toy(tmp_path, learner=toy_learner(losses=losses))
    assert Checkpoints(tmp_path / "checkpoints").steps() == []


def test_a_state_that_is_not_finite_is_never_saved(tmp_path):
    learner = toy_learner()

    def update(state, key, batch):
        new, metrics = learner.update(state, key, batch)
        ema = jax.tree.map(lambda x: jnp.where(state.step >= 7, jnp.inf, x), new.ema_params)
        return new._replace(ema_params=ema), metrics

    broken = Learner(learner.init, update, learner.evaluate)
    with pytest.raises(NonFiniteError, match="the state is not finite at step 12 .* of step 6$"):
        run_toy(tmp_path, learner=broken, eval_every=0)
    assert Checkpoints(tmp_path / "checkpoints").steps() == [6]


def test_a_held_out_loss_that_is_not_finite_stops_the_run(tmp_path):
    learner = toy_learner()
    broken = Learner(learner.init, learner.update, lambda *_: jnp.full((16,), jnp.inf))
    with pytest.raises(NonFiniteError, match="held_out_loss is inf at step 10 .* of step 6$"):
        run_toy(tmp_path, learner=broken)
