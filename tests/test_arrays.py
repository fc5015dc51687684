"""Broadcasting of per-example numbers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.arrays import expand_like, pytree, sum_except_batch


def test_expand_like_gives_each_example_its_own_number():
    x = jnp.ones((2, 3, 4))
    scaled = expand_like(jnp.asarray([2.0, 5.0]), x) * x
    np.testing.assert_array_equal(scaled[0], np.full((3, 4), 2.0))
    np.testing.assert_array_equal(scaled[1], np.full((3, 4), 5.0))


def test_expand_like_takes_one_number_for_all():
    assert expand_like(3.0, jnp.ones((2, 3))).shape == (1, 1)


def test_expand_like_rejects_a_higher_rank():
    with pytest.raises(ValueError, match=r"coefficient of shape \(2, 3\) has a higher rank than x"):
        expand_like(jnp.ones((2, 3)), jnp.ones(2))


def test_sum_except_batch_sums_every_dimension_of_an_example():
    x = jnp.arange(12.0).reshape(2, 3, 2)
    np.testing.assert_array_equal(sum_except_batch(x), [15.0, 51.0])
    np.testing.assert_array_equal(sum_except_batch(jnp.asarray([1.0, 2.0])), [1.0, 2.0])


@pytree
@dataclasses.dataclass(frozen=True)
class First:
    x: jax.Array
    name: str = dataclasses.field(metadata={"static": True})


@pytree
@dataclasses.dataclass(frozen=True)
class Second:
    x: jax.Array
    name: str = dataclasses.field(metadata={"static": True})


def test_trees_of_two_classes_are_never_taken_for_one_another():
    first, second = (kind(jnp.ones(2), "a") for kind in (First, Second))
    assert jax.tree.structure(first) != jax.tree.structure(second)
    assert jax.tree.structure(first) != jax.tree.structure(First(jnp.ones(2), "b"))
    assert jax.tree.structure(first) == jax.tree.structure(First(jnp.zeros(2), "a"))


def test_a_tree_keeps_its_class_its_structure_and_its_names():
    doubled = jax.jit(lambda tree: jax.tree.map(lambda x: 2 * x, tree))(First(jnp.ones(2), "a"))
    assert isinstance(doubled, First) and doubled.name == "a"
    np.testing.assert_array_equal(doubled.x, [2.0, 2.0])
    ((path, _),) = jax.tree_util.tree_leaves_with_path(doubled)
    assert jax.tree_util.keystr(path) == ".x"
