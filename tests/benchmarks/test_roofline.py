"""Tests of the roofline: counted work over measured rates."""

import jax
import jax.numpy as jnp
import pytest

from benchmarks import roofline
from benchmarks.roofline import Peak, Work
from benchmarks.row import Row, Spread
from benchmarks.timing import compile_program

PEAK = Peak(flops=1e9, bytes=1e8)


def test_work_of_a_product_is_its_operations_and_its_arrays():
    x, y = jnp.ones((64, 128)), jnp.ones((128, 32))
    work = compile_program(jnp.matmul, x, y).work
    assert work.flops == pytest.approx(2 * 64 * 128 * 32)
    assert work.bytes == pytest.approx(4 * (64 * 128 + 128 * 32 + 64 * 32), rel=0.01)


def test_the_larger_time_bounds():
    much = Work(flops=4e9, bytes=1e8).share(8.0, PEAK)
    assert (much.value, much.bound) == (0.5, "products")
    little = Work(flops=1e9, bytes=3e8).share(4.0, PEAK)
    assert (little.value, little.bound) == (0.75, "memory")
    assert str(little) == "0.75 of memory (1 GFLOP, 0.3 GB)"


def test_rounds_of_a_loop_are_not_counted():
    looped = compile_program(lambda x: jax.lax.fori_loop(0, 9, lambda _, y: y @ x, x), jnp.eye(32))
    assert looped.work is None
    assert looped.roofline(1.0, "float32") == {"roofline": None}


def test_loops_without_products_are_of_no_account():
    def drawn(key, x):
        return jax.lax.fori_loop(0, 9, lambda _, y: jnp.sin(y), x @ x) + jax.random.normal(key)

    program = compile_program(drawn, jax.random.key(0), jnp.eye(32))
    assert "while(" in program.call.as_text()
    assert program.work.flops >= 2 * 32**3


def test_rates_are_measured_and_a_row_shows_the_share(monkeypatch):
    monkeypatch.setattr(roofline, "SIDES", {"cpu": 32})
    monkeypatch.setattr(roofline, "BYTES", {"cpu": 2**12})
    monkeypatch.setattr(roofline, "fastest", lambda function, *arguments: 0.5 * len(arguments))
    peak = roofline.measured_peak.__wrapped__("float32")
    assert peak == Peak(flops=2 * 32**3, bytes=2 * 2**12 / 0.5)
    share = Work(flops=peak.flops, bytes=0.0).share(2.0, peak)
    fields = {"case": "", "unit": "", "peer": "", "checked": "sound"}
    row = Row(**fields, ours=Spread.of(1.0), theirs=Spread.of(1.0), roofline=share)
    assert row.cells()[-2:] == ["0.50 of products (6.55e-05 GFLOP, 0 GB)", "sound"]
    assert Row(**fields, missing="x").cells()[-2] == ""


def test_the_fastest_quarter_of_calls_counts():
    calls = []
    seconds = roofline.fastest(lambda x: calls.append(1) or x, jnp.zeros(1))
    assert 0 < seconds < 0.1
    assert len(calls) == 1 + roofline.REPEATS
