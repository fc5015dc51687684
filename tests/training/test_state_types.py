"""The types of a state: of 32 bits whatever JAX's flags say, and kept by every update."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from toy_run import assert_bitwise, run_toy, toy_learner

from sde_jax.training import CheckpointError, Checkpoints, saved_steps


@pytest.fixture
def flags():
    """All flags of types, as unusual as they get."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        yield


def test_a_run_is_the_same_whatever_the_flags_say(whole, tmp_path, flags):
    result = run_toy(tmp_path)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(result.state)} == {"float32", "int32"}
    assert_bitwise(result, whole[1])


def test_an_update_that_changes_types_is_refused_before_anything_is_saved(tmp_path):
    learner = toy_learner()

    def update(*given):
        state, metrics = learner.update(*given)
        narrow = {**state.params, "b": state.params["b"].astype(jnp.bfloat16)}
        return state._replace(params=narrow), metrics

    message = r"`params.b` changes from float32\[8\] to bfloat16\[8\]"
    with pytest.raises(ValueError, match=message):
        run_toy(tmp_path, learner=dataclasses.replace(learner, update=update))
    assert saved_steps(tmp_path / "checkpoints") == []


def test_stored_types_are_named_before_checksums(tmp_path):
    """Also a float64, as earlier versions stored it under a flag."""
    with jax.enable_x64(True), Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"a": jnp.ones(3), "b": jnp.zeros((), jnp.int32)}, {})
        checkpoints.wait()
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    wanted = {
        "a": jax.ShapeDtypeStruct((3,), jnp.float32, sharding=place),
        "b": jax.ShapeDtypeStruct((), jnp.int32, sharding=place),
    }
    with (
        Checkpoints(tmp_path) as checkpoints,
        pytest.raises(CheckpointError, match=r"`a` differs: it is float64\[3\] there and float32"),
    ):
        checkpoints.restore(1, wanted)
