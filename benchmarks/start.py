"""Measures the start of commands: of help and refusals, and until the first training step.

    python -m benchmarks start [--data-dir DIR]

Help and refusals take turns with ``python -c "import jax"``. For the first step, the command line
trains in its own process, first with an empty cache of compiled programs, then with the cache that
the first start filled. The clock stops when the first step is in the log.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.conditions import Conditions, Watch
from benchmarks.row import BenchmarkOptions, Row, Spread, spread
from benchmarks.timing import PairedTimes, time_pairs
from sde_jax.runs import find

LIMIT = 10.0
"""Longest permitted start of the digits, in seconds."""
FULL_SIZE = "vp/cifar10_ddpmpp_continuous"
BATCH = 8
"""Batch size of the full-size network; small, so that the start dominates on a CPU."""
ANSWERS = {
    "list": (0, 1.1),
    "--help": (0, 1.1),
    "sample --help": (0, 1.1),
    "sample no-run": (2, 1.1),
    "train no-name": (2, 1.1),
    "sample RUN --bogus": (2, 1.1),
    "likelihood RUN --tolerance 0": (2, 1.1),
    "train digits_vp --help": (0, 2.0),
    "train digits_vp --bogus": (2, 2.0),
}
"""Commands that compute nothing, with their exit codes and the times of importing JAX that each may
take. RUN is a run of digits."""


def rows(options: BenchmarkOptions) -> Iterator[Row]:
    """Compares answers with importing JAX, the digits' start with the limit, and that of a
    full-size network with its own first one."""
    yield from answers(repeats=3 if options.quick else 9)
    checked = "the first loss is the same"
    starts = time_starts("digits_vp", repeats=1 if options.quick else 3)
    yield Row(
        case="digits_vp, second start",
        unit="s",
        ours=starts.again,
        peer=f"a limit; the first start took {starts.first:.1f} s",
        theirs=Spread.of(LIMIT),
        ratio=Spread(*(LIMIT / seconds for seconds in starts.again)),
        at_least=1.0,
        conditions=starts.conditions,
        checked=checked,
    )
    comparison = {"case": f"{FULL_SIZE}, batch {BATCH}", "unit": "s", "peer": "its first start"}
    if options.quick or options.data_dir is None:
        why = "left out of --quick" if options.quick else "CIFAR-10: name its folder by --data-dir"
        yield Row(**comparison, missing=why, checked="")
        return
    data_dir = str(options.data_dir)
    dataclasses.replace(find(FULL_SIZE).experiment.data, data_dir=data_dir).load()
    arguments = ("--data.data-dir", data_dir, "--training.batch-size", str(BATCH))
    starts = time_starts(FULL_SIZE, *arguments, repeats=1)
    yield Row(
        **comparison,
        ours=starts.again,
        theirs=Spread.of(starts.first),
        ratio=Spread.of(starts.first / starts.again.value),
        conditions=starts.conditions,
        at_least=5.0,
        checked=checked,
    )


def answers(repeats: int) -> Iterator[Row]:
    """Compares answers with importing JAX."""
    with tempfile.TemporaryDirectory() as run:
        (Path(run) / "config.json").write_text(json.dumps(find("digits_vp").config()))
        for command, (code, most) in ANSWERS.items():
            times = time_answer(command.replace("RUN", run).split(), code, repeats=repeats)
            yield Row(
                case=f"sde-jax {command}",
                unit="s",
                **times.times(1),
                peer="importing JAX",
                at_least=1 / most,
                checked=f"exit code {code}",
            )


def time_answer(arguments: list[str], code: int, *, repeats: int) -> PairedTimes:
    """Times a command that ends with ``code``, in turns with a process that imports JAX."""

    def run(*words: str, expected: int) -> None:
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
        if done.returncode != expected:
            raise AssertionError(f"{words} ended with {done.returncode}: {done.stderr[-500:]}")

    return time_pairs(
        lambda: run("-m", "sde_jax", *arguments, expected=code),
        lambda: run("-c", "import jax", expected=0),
        repeats=repeats,
    )


class Starts(NamedTuple):
    """Seconds from a command to its first training step."""

    first: float
    """A start without compiled programs."""
    again: Spread
    """Starts that find them."""
    conditions: Conditions | None


def time_starts(name: str, *arguments: str, repeats: int) -> Starts:
    """Times a start without compiled programs, and ``repeats`` that find them."""
    watch, starts = Watch(), []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(1 + repeats):
            starts.append(time_start(Path(folder), name, *arguments))
            watch.probe()
    seconds, losses = zip(*starts, strict=True)
    if len(set(losses)) > 1:
        raise AssertionError(f"{name} starts with different losses: {losses}")
    return Starts(seconds[0], spread(seconds[1:]), watch.conditions())


def time_start(folder: Path, name: str, *arguments: str) -> tuple[float, float]:
    """Returns the seconds to the first step, and its loss."""
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    command = (sys.executable, "-m", "sde_jax", "train", name, "--workdir", str(run))
    settings = ("--training.log-every", "1", "--training.eval-every", "0")
    # XDG_CACHE_HOME would also move decoded images, which are not part of a start.
    environment = {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, *arguments, *settings],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not (line := first_line(run / "metrics.jsonl")):
            if process.poll() is not None:
                raise RuntimeError(f"train {name} failed: {process.communicate()[1][-500:]}")
            time.sleep(0.02)
        return time.perf_counter() - started, json.loads(line)["loss"]
    finally:
        process.kill()
        process.communicate()


def first_line(path: Path) -> str:
    """Returns the first line of a file, or an empty string until it is complete."""
    text = path.read_text() if path.is_file() else ""
    line, newline, _ = text.partition("\n")
    return line if newline else ""
