import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.digits import digits_vp
from sde_jax.data import Batch, GaussianMixture, Ring
from sde_jax.nets.mlp import MLPSpec

points = dataclasses.replace(
    digits_vp(), data=GaussianMixture(components=4), network=MLPSpec(width=8, depth=1, classes=4)
)


def shaken(learner):
    state = learner.init(jax.random.key(0))
    params = jax.tree.map(lambda x: x + 0.1, state.params)
    return state._replace(params=params, ema_params=params)


def losses_by_label(experiment):
    """The losses of eight equal points as a function of their labels."""
    learner = experiment.learner((2,))
    return jax.jit(
        lambda labels: learner.evaluate(
            shaken(learner), jax.random.key(1), Batch(jnp.ones((8, 2)), labels)
        )
    )


def update_by_label(experiment):
    """The parameters after an update, as well."""
    learner = experiment.learner((2,))
    return jax.jit(
        lambda labels: (
            learner.update(shaken(learner), jax.random.key(1), Batch(jnp.ones((8, 2)), labels))[
                0
            ].params
        )
    )


def test_held_out_losses_hang_on_the_labels():
    losses = losses_by_label(points)
    first, second = losses(np.arange(8) % 4), losses(np.arange(8) % 2)
    differ = np.asarray(first != second)
    np.testing.assert_array_equal(differ, np.arange(8) % 4 >= 2)


def test_a_label_that_is_always_kept_from_it_teaches_nothing():
    never = dataclasses.replace(points, label_dropout=1.0)
    update = update_by_label(never)
    first, second = (update(labels) for labels in (np.zeros(8, int), np.arange(8) % 4))
    jax.tree.map(np.testing.assert_array_equal, first, second)
    third = update_by_label(points)(np.arange(8) % 4)
    differ = [
        np.any(np.asarray(x) != y)
        for x, y in zip(*map(jax.tree.leaves, (first, third)), strict=True)
    ]
    assert any(differ)


def test_the_share_that_is_kept_from_it_is_the_one_asked_for():
    labels = jnp.arange(40_000) % 10
    batch, keys = Batch(jnp.zeros((40_000, 2)), labels), jax.random.split(jax.random.key(2), 40_000)
    told = points.condition_of(batch, keys, 0.1).label
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
