"""Tests of the Inception Score against its definition, closed forms and draws."""

import numpy as np
import pytest
import scipy.special
import scipy.stats

from sde_jax.metrics.classification import inception_score


@pytest.fixture
def random():
    return np.random.default_rng(2)


def by_scipy(logits):
    """exp of the mean KL divergence from the mean prediction."""
    p = scipy.special.softmax(logits, axis=1)
    return np.exp(np.mean([scipy.stats.entropy(row, p.mean(0)) for row in p]))


def test_splits_and_the_jackknife_written_out(random):
    logits = 3 * random.normal(size=(17, 4))
    parts = [logits[:5], logits[5:11], logits[11:]]
    score = inception_score(logits, splits=3)
    np.testing.assert_allclose(score.split_scores, [by_scipy(part) for part in parts], rtol=1e-12)
    np.testing.assert_allclose(score.value, np.mean(score.split_scores), rtol=1e-12)
    variances = []
    for part in parts:
        without = [by_scipy(np.delete(part, row, axis=0)) for row in range(len(part))]
        variances.append((len(part) - 1) * np.var(without))
    np.testing.assert_allclose(score.stderr, np.sqrt(np.sum(variances)) / 3, rtol=1e-10)
    assert score.counts == (17,)


def test_closed_forms():
    # Sure and even over c classes: c. The same for all images: 1.
    sure = 1e4 * np.tile(np.eye(5), (4, 1))
    np.testing.assert_allclose(inception_score(sure, splits=2).value, 5, rtol=1e-12)
    np.testing.assert_allclose(inception_score(np.ones((6, 3)), splits=1)[:2], [1, 0], atol=1e-9)


def test_the_error_is_that_of_draws(random):
    for splits in (1, 4):
        scores = [
            inception_score(2 * random.normal(size=(200, 5)), splits=splits) for _ in range(100)
        ]
        values, errors = np.asarray([score[:2] for score in scores]).T
        assert 0.8 < np.sqrt((errors**2).mean()) / values.std() < 1.25


def test_a_split_of_one_image_has_no_error():
    assert np.isnan(inception_score(np.eye(3), splits=3).stderr)
    with pytest.raises(ValueError, match="3 images or more: got 2"):
        inception_score(np.eye(2), splits=3)
    with pytest.raises(ValueError, match="`splits` must be at least 1"):
        inception_score(np.eye(2), splits=0)
