import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.digits import digits_vp
from sde_jax.data import Batch, GaussianMixture, Ring
from sde_jax.nets.mlp import MLPSpec
from sde_jax.recipes.score import labels_kept

points = dataclasses.replace(
    digits_vp(), data=GaussianMixture(components=4), network=MLPSpec(width=8, classes=4)
)


def losses(experiment, labels, *, deterministic=True):
    """The losses of eight equal points that have these labels, and their gradient."""
    learner = experiment.learner((2,))
    params = jax.tree.map(lambda x: x + 0.1, learner.init(jax.random.key(0)).params)
    state = learner.init(jax.random.key(0))._replace(params=params, ema_params=params)
    batch = Batch(jnp.ones((8, 2)), labels)
    if deterministic:
        return learner.evaluate(state, jax.random.key(1), batch)
    return learner.update(state, jax.random.key(1), batch)[0].params


def test_held_out_losses_hang_on_the_labels():
    first, second = losses(points, jnp.arange(8) % 4), losses(points, jnp.arange(8) % 2)
    differ = np.asarray(first != second)
    np.testing.assert_array_equal(differ, np.arange(8) % 4 >= 2)


def test_a_label_that_is_always_kept_from_it_teaches_nothing():
    never = dataclasses.replace(points, label_dropout=1.0)
    first, second = (
        losses(never, labels, deterministic=False)
        for labels in (jnp.zeros(8, int), jnp.arange(8) % 4)
    )
    jax.tree.map(np.testing.assert_array_equal, first, second)
    third = losses(points, jnp.arange(8) % 4, deterministic=False)
    assert any(jax.tree.leaves(jax.tree.map(lambda x, y: (x != y).any(), first, third)))


def test_the_share_that_is_kept_from_it_is_the_one_asked_for():
    labels = jnp.arange(40_000) % 10
    told = labels_kept(jax.random.split(jax.random.key(2), 40_000), labels, 0.1).label
    assert abs(float((told == -1).mean()) - 0.1) < 5 * (0.09 / 40_000) ** 0.5
    np.testing.assert_array_equal(told[told != -1], labels[told != -1])


def test_labels_are_counted():
    assert digits_vp().data.load().classes == 10
    assert points.data.load().classes == 4
    assert Ring().load().classes is None


@pytest.mark.parametrize(
    ("data", "classes", "complaint"),
    [
        (Ring(), 4, "`classes` must be None, since the data have no labels: got 4"),
        (GaussianMixture(components=5), 4, "`classes` must be at least 5.*: got 4"),
    ],
)
def test_labels_that_the_data_do_not_have_are_refused(data, classes, complaint):
    wrong = dataclasses.replace(points, network=MLPSpec(classes=classes))
    with pytest.raises(ValueError, match=complaint):
        wrong.check_data(data.load())


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_is_between_none_and_all(share):
    with pytest.raises(ValueError, match="`label_dropout`"):
        dataclasses.replace(points, label_dropout=share)
