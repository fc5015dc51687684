"""Means with standard errors."""

import math

import numpy as np
import pytest

from sde_jax.metrics import jackknife_stderr, mean_estimate


def test_a_mean_has_the_error_of_its_jackknife():
    values = [True, True, False, True, False]
    found = mean_estimate(values)
    assert found.counts == (5,)
    assert found.value == pytest.approx(0.6)
    # The unbiased variance of Bernoulli values is p (1 - p) n / (n - 1).
    assert found.stderr == pytest.approx(math.sqrt(0.6 * 0.4 / 4))
    without_each = (np.sum(values) - values) / 4
    assert found.stderr == pytest.approx(jackknife_stderr(without_each))


def test_one_value_has_no_error():
    value, stderr, counts = mean_estimate([2.5])
    assert (value, counts) == (2.5, (1,))
    assert math.isnan(stderr)
