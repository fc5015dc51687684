"""Parameters and optimizer spread over devices, and checkpoints between any two ways."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec
from toy_run import lines, run_toy, toy_learner

from sde_jax.training import abstract_state, data_mesh, run_keys
from sde_jax.training.devices import state_sharding

WIDTH = 4096


@pytest.mark.parametrize(
    ("shape", "spec"),
    [
        ((3, 3, 64, 128), (None, None, None, "data")),
        ((3, 3, 128, 64), (None, None, "data")),
        ((64, 64), (None, "data")),
        ((8, 1001), ("data",)),
        ((4096,), ("data",)),
        ((4088,), ()),
        ((65, 63), ()),
        ((), ()),
    ],
)
def test_the_longest_axis_that_divides_is_spread_unless_the_array_is_small(shape, spec):
    mesh = data_mesh()
    assert state_sharding(shape, mesh, sharded=True).spec == PartitionSpec(*spec)
    assert state_sharding(shape, mesh, sharded=False).spec == PartitionSpec()


def elements_held(state):
    """By the first device."""
    return sum(leaf.addressable_shards[0].data.size for leaf in jax.tree.leaves(state))


def test_sharded_it_learns_the_same_and_holds_an_eighth(tmp_path):
    results = [
        run_toy(
            tmp_path / str(sharded),
            learner=toy_learner(WIDTH),
            steps=8,
            eval_every=0,
            shard_parameters=sharded,
        )
        for sharded in (False, True)
    ]
    logs = [[json.loads(line) for line in lines(tmp_path / name)] for name in ("False", "True")]
    for whole, spread in zip(*logs, strict=True):
        assert spread == pytest.approx(whole, rel=1e-5)
    whole, spread = (result.state for result in results)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), whole, spread)
    # Of three weights for each hidden unit, a bias and an outgoing one, only scalars stay whole.
    assert elements_held((whole.params, whole.ema_params)) == 2 * 5 * WIDTH
    assert elements_held((spread.params, spread.ema_params)) == 2 * 5 * WIDTH // 8
    assert elements_held(spread.opt_state) < 2 * 5 * WIDTH // 8 + 20
    shardings = jax.tree.map(lambda x: x.sharding, spread)
    like = abstract_state(toy_learner(WIDTH), data_mesh(), sharded=True)
    assert jax.tree.map(lambda x: x.sharding, like) == shardings


@pytest.mark.slow(
    "tests/training/test_checkpoint.py::test_what_is_saved_is_restored_on_other_devices"
)
@pytest.mark.parametrize(
    "pieces",
    [
        [(6, True, 8), (12, False, 2)],
        pytest.param(
            [(4, True, 8), (6, False, 2), (9, True, 4), (12, True, 1)], marks=pytest.mark.slow
        ),
    ],
    ids=len,
)
def test_a_checkpoint_of_either_way_and_any_number_of_devices_goes_on_in_another(tmp_path, pieces):
    learner = toy_learner(WIDTH)
    straight = run_toy(tmp_path / "straight", learner=learner, steps=12)
    for steps, sharded, devices in pieces:
        mesh = data_mesh(jax.devices()[:devices])
        result = run_toy(
            tmp_path / "pieces", learner=learner, mesh=mesh, steps=steps, shard_parameters=sharded
        )
        assert result.step == steps
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        *(jax.device_get(end.state) for end in (straight, result)),
    )


def test_a_host_initializes_what_devices_share(tmp_path):
    """Before the first step it is, part by part, what one device would have had."""
    state = run_toy(
        tmp_path, learner=frozen(toy_learner(WIDTH)), steps=1, shard_parameters=True, eval_every=0
    ).state
    expected = toy_learner(WIDTH).init(run_keys(3).init).params
    jax.tree.map(np.testing.assert_array_equal, state.params, expected)
    assert jnp.abs(state.params["w"]).max() > 1


def frozen(learner):
    """It counts steps and learns nothing."""

    def update(state, key, batch):
        return state._replace(step=state.step + 1), {"loss": batch.x.mean()}

    return type(learner)(learner.init, update, learner.evaluate)
