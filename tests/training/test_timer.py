import pytest

from sde_jax.training import timer
from sde_jax.training.timer import Timer


class Clock:
    """A clock that moves when told to."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(timer.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(timer.jax, "block_until_ready", lambda metrics: metrics)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def work(clock, timer, *dispatches):
    """Dispatches of (steps, seconds), and a second of something else."""
    timer.resume()
    for steps, seconds in dispatches:
        clock.now += seconds
        timer.count(steps, {})
    timer.pause()
    clock.now += 1


def test_neither_compilation_nor_pauses_count(clock):
    timer = Timer()
    work(clock, timer, (1, 60), (1, 0.5), (1, 0.5))
    assert timer.since_last() == pytest.approx(2)
    work(clock, timer, (1, 0.25), (1, 0.25))
    assert timer.since_last() == pytest.approx(4)
    assert timer.overall() == pytest.approx(4 / 1.5)


def test_a_second_program_compiles_too(clock):
    """Ten steps in a dispatch, and the rest one by one, as after a resume at an odd step."""
    timer = Timer()
    work(clock, timer, (10, 60), (10, 1), (10, 1), (1, 40), (1, 0.2), (1, 0.2))
    assert timer.since_last() == pytest.approx(5)
    work(clock, timer, (10, 1), (10, 1), (1, 0.2))
    assert timer.since_last() == pytest.approx(21 / 2.2)


def test_too_few_updates_say_nothing(clock):
    timer = Timer()
    work(clock, timer, (1, 60))
    assert (timer.since_last(), timer.overall()) == (0, 0)
