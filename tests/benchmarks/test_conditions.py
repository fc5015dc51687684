"""Tests of the conditions of a timing, and of processes that end with their parent."""

import functools
import multiprocessing
import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor

import pytest

from benchmarks import conditions
from benchmarks.conditions import Conditions, CPUTime, Watch
from benchmarks.peer_process import PeerProcess, end_with_parent
from benchmarks.process import can_choose_cores, on_one_core


class Speeds:
    """Replaces the speed of the known operations by given ones."""

    def __init__(self, monkeypatch, *speeds):
        self.speeds = iter(speeds)
        monkeypatch.setattr(conditions, "speed_of", lambda library: next(self.speeds))


class Peer:
    pid = os.getpid()

    def speed(self):
        return 0.5


def test_speeds_are_medians_of_each_side(monkeypatch):
    Speeds(monkeypatch, 1.0, 0.9, 0.2, 0.8)
    watch = Watch(Peer())
    for _ in range(3):
        watch.probe()
    found = watch.conditions()
    assert (found.ours, found.theirs) == (0.8, 0.5)
    assert found.busy


def test_shares_of_stolen_time_of_others_and_of_waiting(monkeypatch):
    """Of 200 ticks, 20 are stolen, 50 idle, 30 our own, and 100 of others."""
    Speeds(monkeypatch, 1.0, 1.0)
    clocks = iter([CPUTime(1000, 500, 10, 70, 30, 5), CPUTime(1200, 550, 30, 100, 33, 6)])
    monkeypatch.setattr(CPUTime, "now", lambda processes: next(clocks))
    watch = Watch()
    watch.probe()
    assert watch.conditions() == Conditions(1.0, 1.0, 0.1, 0.5, 0.25)


def test_clocks_are_those_of_the_system(monkeypatch, tmp_path):
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 1 30 500 20 3 4 60 50 0\ncpu0 1 2 3\n")
    monkeypatch.setattr(conditions, "STAT", stat)
    clock = CPUTime.now([])
    assert clock == CPUTime(total=718, idle=520, stolen=60, own=0, ran=0, waited=0)
    own = CPUTime.now([os.getpid()])
    assert own.own / os.sysconf("SC_CLK_TCK") == pytest.approx(sum(os.times()[:4]), abs=0.1)
    assert 0 < own.ran / 1e9 <= time.process_time()
    stat.unlink()
    assert CPUTime.now([]) is None


def test_speed_is_relative_to_that_alone(monkeypatch):
    monkeypatch.setattr(conditions, "seconds_alone", lambda library: 2.0)
    monkeypatch.setattr(conditions, "seconds", lambda operations: 8.0)
    assert conditions.speed_of("jax") == 0.25


@pytest.mark.parametrize(
    ("stolen", "waited", "busy"),
    [(0.02, 0.07, False), (0.05, 0.06, True), (0.0, 0.11, True), (None, None, False)],
)
def test_a_timing_that_waited_for_a_core_does_not_count(stolen, waited, busy):
    assert Conditions(1.0, 1.0, stolen, 0.5, waited).busy is busy


def test_the_worse_shares_of_two_timings():
    ours, theirs = Conditions(0.9, 0.9, 0.1, 0.0, 0.2), Conditions(0.8, 0.8, 0.0, 0.3, 0.0)
    assert conditions.combine(ours, theirs) == Conditions(0.9, 0.8, 0.1, 0.3, 0.2)
    assert conditions.combine(ours, None) is None
    assert conditions.combine(ours, theirs._replace(stolen=None))[2:] == (None, 0.3, 0.2)


def number_of_cores():
    return len(os.sched_getaffinity(0))


@pytest.mark.skipif(not can_choose_cores(), reason="this system does not choose cores")
def test_processes_that_start_on_one_core_stay_there():
    before = os.sched_getaffinity(0)
    with on_one_core():
        assert number_of_cores() == 1
        pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        waiting = pool.submit(number_of_cores)
    assert os.sched_getaffinity(0) == before
    assert waiting.result() == 1
    pool.shutdown()


def build(number):
    if number < 0:
        raise ModuleNotFoundError("no module", name="abacus")
    return "a peer", functools.partial(divmod, number, 2)


def test_a_peer_answers_from_its_own_process():
    with PeerProcess("jax", __name__, "build", 7) as peer:
        assert (peer.name, peer()) == ("a peer", (3, 1))
        assert 0 < peer.seconds() < 1
    with pytest.raises(ModuleNotFoundError) as caught, PeerProcess("jax", __name__, "build", -1):
        pass
    assert caught.value.name == "abacus"


def wait_in_vain(pipe):
    end_with_parent()
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    child.start()
    pipe.send([os.getpid(), child.pid])
    child.join()


def start_and_wait(pipe):
    context = multiprocessing.get_context("spawn")
    context.Process(target=wait_in_vain, args=(pipe,)).start()
    time.sleep(600)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that ended, and whose end nobody has read, is not running.
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not can_choose_cores(), reason="this test reads /proc")
def test_children_of_a_killed_process_end():
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=start_and_wait, args=(theirs,))
    process.start()
    pids = ours.recv()
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    deadline = time.monotonic() + 20
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
