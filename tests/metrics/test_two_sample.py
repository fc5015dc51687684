"""The classifier two-sample test against the best accuracy that there is."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neural_network import MLPClassifier

from sde_jax.metrics import classifier_two_sample, two_sample


def gaussians(count, distance, dimensions=2):
    """Two sets of unit Gaussians at this distance, in units of 3 about 5."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, count, dimensions))
    second[:, 0] += distance
    return 5 + 3 * first, 5 + 3 * second


def test_samples_of_one_distribution_are_told_apart_by_chance_alone():
    found = classifier_two_sample(*gaussians(500, 0.0))
    assert found.value == pytest.approx(0.5, abs=0.05)
    assert found.counts == (500, 500)
    assert 0 < found.stderr < 0.03


@pytest.mark.parametrize("distance", [1.0, 3.0])
def test_separated_gaussians_are_told_apart_as_well_as_can_be(distance):
    found = classifier_two_sample(*gaussians(500, distance))
    best = norm.cdf(distance / 2)
    # Its own error, and that of the points: a binomial.
    deviation = np.hypot(found.stderr, (best * (1 - best) / 1000) ** 0.5)
    assert found.value == pytest.approx(best, abs=3 * deviation)


def by_scikit_learn(first, second):
    """The accuracies of the folds, as sbibm computes them."""
    mean, deviation = first.mean(axis=0), first.std(axis=0, ddof=1)
    data = (np.concatenate([first, second]) - mean) / deviation
    labels = np.repeat([0.0, 1.0], [len(first), len(second)])
    classifier = MLPClassifier((10 * data.shape[1],) * 2, max_iter=10_000, random_state=1)
    folds = KFold(5, shuffle=True, random_state=1)
    return cross_val_score(classifier, data, labels, cv=folds, scoring="accuracy")


def test_an_epoch_is_that_of_scikit_learn(monkeypatch):
    x, y = gaussians(207, 1.0)  # The last batch is smaller.
    data, labels = np.float32(np.concatenate([x, y]) / 5), np.repeat([0, 1], 207)
    theirs = MLPClassifier((20, 20), max_iter=3, random_state=1)
    with pytest.warns(ConvergenceWarning):
        theirs.fit(data, labels)
    losses = []
    epoch = two_sample._epoch

    def first_three(*args):
        if len(losses) == 3:
            return args[0], np.inf
        state, loss = epoch(*args)
        losses.append(float(loss))
        return state, loss

    monkeypatch.setattr(two_sample, "_epoch", first_three)
    params = two_sample._trained(data, labels, np.random.RandomState(1))
    np.testing.assert_allclose(losses, theirs.loss_curve_, rtol=1e-4)
    shares = 1 / (1 + np.exp(-np.asarray(two_sample._logits(params, data))))
    np.testing.assert_allclose(shares, theirs.predict_proba(data)[:, 1], atol=1e-3)


def test_the_accuracy_is_that_of_scikit_learn():
    sets = gaussians(300, 0.7)
    theirs = by_scikit_learn(*sets)
    found = classifier_two_sample(*sets)
    assert found.value == pytest.approx(theirs.mean(), abs=0.01)
    assert found.stderr == pytest.approx(theirs.std(ddof=1) / 5**0.5, abs=0.01)


@pytest.mark.slow("test_the_accuracy_is_that_of_scikit_learn")
@pytest.mark.parametrize(("distance", "dimensions"), [(0.0, 2), (1.0, 2)])
def test_accuracies_of_many_samples_are_those_of_scikit_learn(distance, dimensions):
    """Rounding leads to other minima: each has the accuracy up to a few errors of counting."""
    sets = gaussians(5_000, distance, dimensions)
    found, theirs = classifier_two_sample(*sets).value, by_scikit_learn(*sets).mean()
    assert found == pytest.approx(norm.cdf(distance / 2), abs=0.02)
    assert found == pytest.approx(theirs, abs=0.015)


def test_the_sets_are_scaled_by_the_first():
    first, second = gaussians(200, 1.0)
    shifted = classifier_two_sample(1e3 * first + 1e4, 1e3 * second + 1e4)
    assert shifted.value == pytest.approx(classifier_two_sample(first, second).value, abs=0.01)


def test_sets_that_cannot_be_compared_are_refused():
    first, second = gaussians(20, 1.0)
    with pytest.raises(ValueError, match="same dimension: got 2 and 1"):
        classifier_two_sample(first, second[:, :1])
    with pytest.raises(ValueError, match="needs 5 images or more: got 4"):
        classifier_two_sample(first[:4], second)
    with pytest.raises(ValueError, match="column 1 of the first set is constant"):
        classifier_two_sample(first * [1, 0], second)
