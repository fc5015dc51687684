"""The area under the ROC curve: the Mann-Whitney statistic, known areas, and its error."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import auc, roc_auc_score

from sde_jax.metrics.roc import roc_area, roc_curve


def whole_numbers(seed, sizes=(40, 70)):
    """Scores with many ties, the first set's higher."""
    rng = np.random.default_rng(seed)
    return rng.integers(2, 9, sizes[0]), rng.integers(0, 7, sizes[1])


def test_the_area_is_the_share_of_pairs_in_order():
    """Against all pairs, scipy's Mann-Whitney statistic, and scikit-learn's."""
    x, y = whole_numbers(0)
    area = roc_area(x, y)
    pairs = np.mean([(a > b) + 0.5 * (a == b) for a in x for b in y])
    assert area.value == pytest.approx(pairs, rel=1e-12)
    assert area.value == pytest.approx(stats.mannwhitneyu(x, y).statistic / 2800, rel=1e-12)
    labels = np.repeat([1, 0], [40, 70])
    assert area.value == pytest.approx(roc_auc_score(labels, [*x, *y]), rel=1e-12)
    assert area.counts == (40, 70)


def test_the_area_is_that_under_the_curve():
    for x, y in (whole_numbers(1), (np.arange(5.0), np.arange(9.0) / 3)):
        curve = roc_curve(x, y)
        area = auc(curve.false_positive_rate, curve.true_positive_rate)
        assert area == pytest.approx(roc_area(x, y).value, rel=1e-12)
        for rates in curve:
            assert rates[0] == 0 and rates[-1] == 1 and (np.diff(rates) >= 0).all()


def test_the_error_is_that_of_leaving_out_each_score():
    """The jackknife of a two-sample mean of placements, taken from all pairs."""
    x, y = whole_numbers(2, (12, 9))
    order = (x[:, None] > y) + 0.5 * (x[:, None] == y)
    without_x = [np.delete(order, i, axis=0).mean() for i in range(12)]
    without_y = [np.delete(order, i, axis=1).mean() for i in range(9)]
    parts = [(len(r) - 1) * np.var(r) for r in (without_x, without_y)]
    assert roc_area(x, y).stderr == pytest.approx(np.sqrt(sum(parts)), rel=1e-12)


@pytest.mark.parametrize(("shift", "deviation"), [(0.0, 1.0), (1.0, 1.0), (1.5, 0.5), (-0.7, 2.0)])
def test_the_area_between_two_gaussians(shift, deviation):
    """``Phi(shift / sqrt(1 + deviation^2))`` within 5 standard errors of 300 draws, whose own
    spread is what the error says within 5 of its own standard errors, ``1 / sqrt(600)``."""
    rng, expected = np.random.default_rng(3), stats.norm.cdf(shift / np.hypot(1, deviation))
    areas = [
        roc_area(shift + deviation * rng.normal(size=80), rng.normal(size=150)) for _ in range(300)
    ]
    values, errors = np.array([(area.value, area.stderr) for area in areas]).T
    z = (values.mean() - expected) / (values.std() / np.sqrt(300))
    assert abs(z) < 5, z
    z = (values.std(ddof=1) / np.sqrt((errors**2).mean()) - 1) * np.sqrt(600)
    assert abs(z) < 5, z


def test_to_change_sides_is_to_tell_the_opposite():
    x, y = whole_numbers(4)
    there, back = roc_area(x, y), roc_area(y, x)
    assert there.value == pytest.approx(1 - back.value, rel=1e-12)
    assert there.stderr == pytest.approx(back.stderr, rel=1e-12)
    assert roc_area(-y, -x).value == pytest.approx(there.value, rel=1e-12)


def test_the_scale_of_the_scores_does_not_count():
    x, y = whole_numbers(5)
    assert roc_area(np.exp(x), np.exp(y)) == roc_area(x, y)


@pytest.mark.parametrize(
    ("positive", "negative", "area"),
    [
        ([3.0, 4.0], [1.0, 2.0], 1.0),
        ([1.0, 2.0], [3.0, 4.0, 5.0], 0.0),
        ([2.0, 2.0], [2.0, 2.0, 2.0], 0.5),
        ([3.0], [1.0, 4.0], 0.5),
    ],
)
def test_where_nothing_varies_the_error_is_unknown(positive, negative, area):
    found = roc_area(positive, negative)
    assert found.value == area
    assert np.isnan(found.stderr)


@pytest.mark.parametrize("function", [roc_area, roc_curve])
def test_what_is_no_score_is_refused(function):
    with pytest.raises(ValueError, match=r"^`negative` must be a row of scores: .* shape \(0,\)"):
        function([1.0], [])
    with pytest.raises(ValueError, match=r"^`positive` must be a row of scores: .* shape \(1, 1\)"):
        function([[1.0]], [1.0])
    with pytest.raises(ValueError, match=r"^`positive` must be finite: score 1 is not"):
        function([1.0, np.nan], [1.0])
