"""The CPU time that the tests take: the dearest are printed, and the sum has a limit.

The limit is a multiple of the time that compiling a known program takes, so that it means the same
on every machine. It holds for the default run as a whole.
"""

import os
import statistics
import time

import jax
import jax.numpy as jnp
import pytest

LIMIT = 3000
"""Times that the default run may take as long as `calibration`, from a cold cache. It took 2150
on two cores. Machines differ by half, more in compiling than in running."""

WHOLE = 1000
"""Least number of tests for which a run is calibrated."""

DEAR = (
    "experiments",
    "recipes/test_published.py",
    "recipes/test_generative_kinds.py",
    "test_docs.py",
    "command_line/test_command_edit.py",
    "command_line/test_command_evaluate.py",
)
"""Files and a folder that take longest, which run first."""


class Budget:
    """Measures each test in the process that runs it, and adds up in the one that reports."""

    def __init__(self, config):
        self.config = config
        self.seconds = {}
        self.mark = 0.0
        self.units = []

    def pytest_collection_finish(self, session):
        """Calibrates while the other process does: two are slower than one alone."""
        if len(session.items) < WHOLE:
            return
        unit = calibration()
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput["unit"] = unit
        else:
            self.units.append(unit)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node):
        """Takes the calibration of a process that ends."""
        unit = (getattr(node, "workeroutput", None) or {}).get("unit")
        self.units += [] if unit is None else [unit]

    def pytest_runtest_logstart(self):
        self.mark = cpu_seconds()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self):
        outcome = yield
        now = cpu_seconds()
        outcome.get_result().cpu_seconds, self.mark = now - self.mark, now

    def pytest_runtest_logreport(self, report):
        seconds = self.seconds.get(report.nodeid, 0.0)
        self.seconds[report.nodeid] = seconds + getattr(report, "cpu_seconds", 0.0)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session):
        """Fails a default run that takes more than the limit."""
        if self.is_default and self.ratio > LIMIT:
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    @property
    def is_default(self):
        """Whether the run is of all tests that are not slow."""
        options = self.config.option
        chosen = options.keyword or options.markexpr or options.slow or options.lf
        whole = self.config.args_source is self.config.ArgsSource.TESTPATHS
        return whole and not chosen and bool(self.units)

    @property
    def ratio(self):
        """The CPU time of the tests over that of the calibration."""
        return sum(self.seconds.values()) / statistics.mean(self.units)

    def pytest_terminal_summary(self, terminalreporter):
        terminalreporter.section("CPU time")
        for name, seconds in sorted(self.seconds.items(), key=lambda item: -item[1])[:10]:
            terminalreporter.line(f"{seconds:6.1f} s  {name}")
        line = f"{sum(self.seconds.values()):6.1f} s  all"
        if self.is_default:
            line += f": {self.ratio:.0f} times as long as a known program takes to compile"
        terminalreporter.line(line)
        if self.is_default and self.ratio > LIMIT:
            terminalreporter.line(
                f"The default run may take {LIMIT} times as long: make tests cheaper, or mark them "
                "slow beside a cheap one that checks the same.",
                red=True,
            )


def cpu_seconds():
    """CPU time of this process and of its children that ended."""
    return sum(os.times()[:4])


def calibration():
    """CPU time to trace and compile a known program, which no cache keeps: the least of three."""

    def program(x):
        for place in range(40):
            x = jnp.sin(x @ x.T + place) / jnp.sqrt(1 + x**2).sum()
        return x

    def once(size):
        start = time.process_time()
        jax.jit(jax.grad(lambda x: program(x).sum())).lower(jnp.ones((size, size))).compile()
        return time.process_time() - start

    name = "jax_persistent_cache_min_compile_time_secs"
    before = jax.config.values[name]
    jax.config.update(name, 1e9)
    try:
        return min(once(size) for size in (7, 8, 9))
    finally:
        jax.config.update(name, before)
