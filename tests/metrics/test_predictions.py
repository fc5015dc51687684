"""Tests of the measures of predictions against their definitions, closed forms and draws."""

import numpy as np
import pytest
import scipy.special
import scipy.stats

from sde_jax.metrics.predictions import compare_predictions, expected_label_distance


@pytest.fixture
def random():
    return np.random.default_rng(3)


def by_loops(logits, threshold):
    """Mean largest logit, unsure images and label counts, image by image."""
    largest, unsure, counts = [], {}, np.zeros(logits.shape[1])
    for index, row in enumerate(logits):
        largest.append(max(row))
        counts[list(row).index(max(row))] += 1
        confidence = max(scipy.special.softmax(row))
        if confidence < threshold:
            unsure[index] = confidence
    return np.mean(largest), sorted(unsure, key=unsure.get), counts


def test_measures_image_by_image(random):
    logits = 3 * random.normal(size=(2, 23, 4)) + [2, 0, 0, 1]
    found = compare_predictions(*logits, threshold=0.8)
    assert found.threshold == 0.8
    shares = []
    for rows, predicted in zip(logits, found[:2], strict=True):
        mean, unsure, counts = by_loops(rows, 0.8)
        assert 0 < len(unsure) < 23
        np.testing.assert_allclose(predicted.mean_max_logit.value, mean, rtol=1e-12)
        np.testing.assert_array_equal(predicted.unsure, unsure)
        np.testing.assert_allclose(predicted.unsure_share.value, len(unsure) / 23)
        shares.append(counts / 23)
        np.testing.assert_allclose([share.value for share in predicted.label_shares], shares[-1])
        np.testing.assert_allclose(predicted.entropy.value, scipy.stats.entropy(counts), rtol=1e-12)
        assert predicted.entropy.counts == predicted.mean_max_logit.counts == (23,)
        for label, best in enumerate(predicted.best):
            own = rows[rows.argmax(axis=1) == label, label]
            assert rows[best].argmax() == label
            assert rows[best, label] == own.max()
    np.testing.assert_allclose(found.label_distance.value, np.abs(np.subtract(*shares)).sum() / 2)
    assert found.label_distance.counts == (23, 23)


def test_errors_are_those_of_the_jackknife_written_out(random):
    sets = random.normal(size=(9, 3)), random.normal(size=(14, 3))

    def replicates(which, measure):
        for row in range(len(sets[which])):
            yield measure(*(np.delete(x, row, axis=0) if x is sets[which] else x for x in sets))

    def stderr(measure):
        parts = [np.array(list(replicates(which, measure))) for which in (0, 1)]
        return np.sqrt(sum((len(part) - 1) * part.var() for part in parts))

    found = compare_predictions(*sets)
    for value in (
        lambda p: p.generated.mean_max_logit,
        lambda p: p.generated.unsure_share,
        lambda p: p.generated.entropy,
        lambda p: p.real.label_shares[2],
        lambda p: p.label_distance,
    ):
        expected = stderr(lambda *pair, value=value: value(compare_predictions(*pair)).value)
        np.testing.assert_allclose(value(found).stderr, expected, rtol=1e-10)


def test_closed_forms():
    sure = 50 * np.tile(np.eye(4), (5, 1))
    mixed = np.tile([[7.0, 7.0, 0.0, 0.0]], (10, 1))
    found = compare_predictions(mixed, sure)
    assert found.threshold == 0.9
    assert found.real.mean_max_logit[:2] == (50, 0)
    assert found.generated.mean_max_logit[:2] == (7, 0)
    assert (found.real.unsure_share.value, found.generated.unsure_share.value) == (0, 1)
    np.testing.assert_allclose(found.real.entropy.value, np.log(4), rtol=1e-12)
    assert found.generated.entropy[:2] == (0, 0)
    assert found.generated.best == (0, None, None, None)
    assert found.real.best == (0, 1, 2, 3)
    # All of one label against even shares of four.
    np.testing.assert_allclose(found.label_distance.value, 0.75, rtol=1e-12)
    assert found.label_distance.counts == (10, 20)
    expected = expected_label_distance(np.full(4, 0.25), 10, 20)
    assert found.label_distance.expected == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("sizes", [(3, 3), (5, 2), (2, 7)])
def test_the_expected_distance_of_all_pairs_of_draws(sizes):
    shares = np.array([0.5, 0.3, 0.2, 0.0])

    def outcomes(size):
        grid = np.stack(np.meshgrid(*[np.arange(size + 1)] * 4), axis=-1).reshape(-1, 4)
        counts = grid[grid.sum(axis=1) == size]
        return counts / size, scipy.stats.multinomial.pmf(counts, size, shares)

    (x, p), (y, q) = map(outcomes, sizes)
    distances = np.abs(x[:, None] - y[None]).sum(axis=2) / 2
    np.testing.assert_allclose(expected_label_distance(shares, *sizes), p @ distances @ q)


def test_the_expected_distance_of_many_draws(random):
    # Nearly Gaussian: E|difference| = sqrt(2 / pi) of its deviation.
    shares = np.full(10, 0.1)
    gaussian = 5 * np.sqrt(2 / np.pi * 0.09 * (1 / 50_000 + 1 / 10_000))
    np.testing.assert_allclose(expected_label_distance(shares, 50_000, 10_000), gaussian, rtol=1e-3)
    assert expected_label_distance([1.0, 0.0], 5, 7) == pytest.approx(0, abs=1e-12)


def test_draws_of_one_distribution_are_as_far_apart_as_expected(random):
    pairs = [
        compare_predictions(random.normal(size=(300, 5)), random.normal(size=(200, 5)))
        for _ in range(60)
    ]
    values, expected = np.array(
        [(p.label_distance.value, p.label_distance.expected) for p in pairs]
    ).T
    assert values.mean() == pytest.approx(expected.mean(), abs=4 * values.std() / 60**0.5)


def test_the_error_is_that_of_draws_where_distributions_differ(random):
    pairs = [
        compare_predictions(
            random.normal(size=(300, 4)) + [0.7, 0, 0, 0], random.normal(size=(200, 4))
        )
        for _ in range(100)
    ]
    values, errors = np.array([p.label_distance[:2] for p in pairs]).T
    assert 0.8 < np.sqrt((errors**2).mean()) / values.std() < 1.25


@pytest.mark.parametrize(
    ("generated", "real", "threshold", "complaint"),
    [
        (np.eye(3)[:1], np.eye(3), 0.9, "2 images or more: got 1"),
        (np.eye(3), np.eye(4), 0.9, "same dimension: got 3 and 4"),
        (np.eye(3), np.eye(3), 0.0, r"`threshold` must lie in \(0, 1\]: got 0.0"),
        (np.full((3, 3), np.nan), np.eye(3), 0.9, "must be finite"),
    ],
)
def test_what_cannot_be_measured(generated, real, threshold, complaint):
    with pytest.raises(ValueError, match=complaint):
        compare_predictions(generated, real, threshold=threshold)
