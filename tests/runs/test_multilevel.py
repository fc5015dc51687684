"""Multilevel means of measurements whose error in any number of steps is known."""

import math

import numpy as np
import pytest

from sde_jax.runs.multilevel import multilevel_mean

SIZE = 400


def measurement(rng, *, order=2, noise=0.3):
    """Bits of each example, wrong by a bias and by an error of its own that fall with the steps."""
    truth = 2 + 0.5 * rng.normal(size=SIZE)
    errors = -1 + noise * rng.normal(size=SIZE)
    asked = {}

    def bits(steps, examples):
        asked[steps] = asked.get(steps, 0) + len(examples)
        return truth[examples] + 10 * errors[examples] / steps**order

    return truth, bits, asked


def test_it_is_unbiased_and_knows_its_error():
    """Over 200 repetitions, about the mean over all examples in infinitely many steps."""
    rng, scaled, claimed = np.random.default_rng(0), [], []
    for _ in range(200):
        truth, bits, _ = measurement(rng)
        found = multilevel_mean(bits, SIZE, rng, wanted=0.001)
        scaled.append(found.mean - truth.mean())
        claimed.append(found.solver_stderr)
        assert found.image_stderr == pytest.approx(truth.std(ddof=1) / SIZE**0.5, rel=0.02)
    errors, claims = (math.sqrt(np.mean(np.square(x))) for x in (scaled, claimed))
    left_out = 10 / 64**2
    assert abs(np.mean(scaled)) < 5 * np.std(scaled) / math.sqrt(200) + left_out
    assert 0.8 < claims / errors < 1.2
    assert claims < 0.0011


def test_few_examples_are_measured_in_many_steps():
    """All in the coarsest, fewer with each level, at a cost far below that of the last for all."""
    rng = np.random.default_rng(1)
    _, bits, asked = measurement(rng)
    found = multilevel_mean(bits, SIZE, rng)
    counts = list(found.counts.values())
    assert found.counts[16] == SIZE and counts == sorted(counts, reverse=True)
    assert found.nfe * SIZE == sum((steps + 1) * count for steps, count in asked.items())
    assert found.nfe < 0.5 * max(found.counts)
    assert found.solver_stderr < 0.11 * found.image_stderr
    assert found.stderr == pytest.approx(math.hypot(found.image_stderr, found.solver_stderr))


def test_an_error_that_no_level_reaches_is_refused_with_the_one_that_can_be():
    rng = np.random.default_rng(2)
    _, bits, _ = measurement(rng, order=1)
    with pytest.raises(
        ValueError, match=r"the error must be at least 0.0\d+ bits, which 512 steps"
    ):
        multilevel_mean(bits, SIZE, rng, wanted=1e-6)


def test_a_small_set_is_measured_whole():
    rng = np.random.default_rng(3)
    truth, bits, _ = measurement(rng)
    found = multilevel_mean(lambda steps, chosen: bits(steps, chosen), 20, rng, wanted=0.002)
    assert set(found.counts.values()) == {20}
    assert found.mean == pytest.approx(truth[:20].mean(), abs=0.002)
