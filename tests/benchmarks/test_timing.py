"""Tests of paired times, compiled programs and rates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import timing
from benchmarks.conditions import Conditions
from benchmarks.row import Spread


class Clock:
    """Replaces the system clock; each call advances it."""

    def __init__(self, monkeypatch):
        self.now, self.calls = 0.0, []
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(timing, "Watch", Watch)

    def takes(self, name, *times):
        times = iter(times)

        def call():
            self.calls.append(name)
            self.now += next(times)

        return call


class Watch:
    """Replaces the watch, whose operations take time; every probe worsens the conditions."""

    def __init__(self, peer):
        self.probes = 0

    def probe(self):
        self.probes += 1

    def conditions(self):
        return Conditions(1.0, 1 / self.probes, 0.0, 0.0, 0.0)


def test_pairs_alternate_and_the_ratio_is_of_each(monkeypatch):
    clock = Clock(monkeypatch)
    ours, theirs = clock.takes("a", 9, 1, 2, 4), clock.takes("b", 9, 3, 4, 20)
    pairs = timing.time_pairs(ours, theirs, repeats=3)
    assert clock.calls == ["a", "b"] * 4
    assert pairs.ours.value == 2
    assert pairs.theirs.value == 4
    # The median of 3, 2 and 5 is neither the ratio of the medians nor that of the means.
    assert pairs.ratio.value == 3
    assert pairs.times(1)["conditions"] == Conditions(1.0, 1 / 3, 0.0, 0.0, 0.0)


def test_fastest_ignores_the_first_call(monkeypatch):
    clock = Clock(monkeypatch)
    calls = {"slow": clock.takes("s", 1, 5, 5, 5), "late": clock.takes("l", 50, 4, 6, 6)}
    assert timing.fastest(calls) == ("late", calls["late"])


def test_rates_swap_the_quartiles():
    assert timing.per_second(Spread(2.0, 1.0, 4.0), 8) == Spread(4.0, 2.0, 8.0)


def test_units_scale_times_rates_and_ratios():
    pairs = timing.PairedTimes.of([2.0, 2.0], [6.0, 6.0], None)
    assert pairs.times(1000)["ours"].value == 2000
    assert pairs.times(1000)["ratio"].value == pairs.rates(8)["ratio"].value == 3
    linear = pairs.times(10, 40)
    assert (linear["theirs"].value, linear["ratio"].value) == (240, 12)
    flops = pairs.rates(8, 24)
    assert (flops["ours"].value, flops["theirs"].value, flops["ratio"].value) == (4, 4, 1)


def test_compiled_program_reports_its_costs():
    x = jnp.ones((256, 256))
    program = timing.compile_program(lambda x: x @ x, x)
    np.testing.assert_allclose(program.call(x), 256.0)
    assert program.compile_seconds > 0
    assert program.peak_bytes >= 2 * x.nbytes
    donated = timing.compile_program(lambda x: x + 1, x, donate_argnums=0)
    assert donated.peak_bytes < 2 * x.nbytes


def test_timing_waits_for_the_result():
    x = jnp.ones((64, 64))
    slow = jax.jit(lambda x: jax.lax.fori_loop(0, 2000, lambda _, y: y @ x / 64, x))
    slow(x).block_until_ready()
    assert timing.time_call(lambda: slow(x)) > 20 * timing.time_call(lambda: x) > 0


@pytest.mark.parametrize("repeats", [1, 4])
def test_repeats_follow_the_warm_up(repeats, monkeypatch):
    clock = Clock(monkeypatch)
    ones = [1.0] * (repeats + 2)
    timing.time_pairs(clock.takes("a", *ones), clock.takes("b", *ones), repeats=repeats, warm_up=2)
    assert clock.calls == ["a", "b"] * (repeats + 2)
