"""How long does a command take to its first training step, the second time?

The command line trains in a process of its own, with an empty cache of compiled programs and then
with what the first left there. The clock runs from the command until the first step is in its log.
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

from benchmarks.row import Asked, Row, Spread, spread
from sde_jax.runs.catalogue import find

LIMIT = 10.0
"""Seconds that the digits may take."""
FULL_SIZE = "vp/cifar10_ddpmpp_continuous"
BATCH = 8
"""Of the full-size network, so that what is measured on a CPU is the start."""


def rows(asked: Asked) -> Iterator[Row]:
    """The digits against the limit, and a full-size network against its own first start."""
    repeats = 1 if asked.quick else 3
    with tempfile.TemporaryDirectory() as folder:
        first, again = starts(Path(folder), "digits_vp", repeats=repeats)
        yield Row(
            case="digits_vp, second start",
            unit="s",
            ours=again,
            peer=f"a limit; the first start took {first:.1f} s",
            theirs=Spread.of(LIMIT),
            ratio=Spread(*(LIMIT / seconds for seconds in again)),
            at_least=1.0,
            checked="the first loss is the same",
        )
    comparison = {"case": f"{FULL_SIZE}, batch {BATCH}", "unit": "s", "peer": "its first start"}
    checked = "the first loss is the same"
    if asked.quick or asked.data_dir is None:
        why = "left out of --quick" if asked.quick else "CIFAR-10: name its folder by --data-dir"
        yield Row(**comparison, missing=why, checked="")
        return
    dataclasses.replace(find(FULL_SIZE).experiment.data, data_dir=str(asked.data_dir)).load()
    options = ("--data.data-dir", str(asked.data_dir), "--training.batch-size", str(BATCH))
    with tempfile.TemporaryDirectory() as folder:
        first, again = starts(Path(folder), FULL_SIZE, *options, repeats=1)
    ratio = Spread.of(first / again.value)
    yield Row(
        **comparison,
        ours=again,
        theirs=Spread.of(first),
        ratio=ratio,
        at_least=5.0,
        checked=checked,
    )


def starts(folder: Path, name: str, *options: str, repeats: int) -> tuple[float, Spread]:
    """Seconds of a start with nothing compiled, and of ``repeats`` that find it compiled."""
    seconds, losses = zip(*(start(folder, name, *options) for _ in range(1 + repeats)), strict=True)
    if len(set(losses)) > 1:
        raise AssertionError(f"{name} starts with different losses: {losses}")
    return seconds[0], spread(seconds[1:])


def start(folder: Path, name: str, *options: str) -> tuple[float, float]:
    """Seconds to the first step, and its loss."""
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    arguments = ("train", name, "--workdir", str(run), *options)
    settings = ("--training.log-every", "1", "--training.eval-every", "0")
    # Not by XDG_CACHE_HOME, where decoded images are, too: they are no part of a start.
    environment = {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "sde_jax", *arguments, *settings],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not (line := first_line(run / "metrics.jsonl")):
            if process.poll() is not None:
                raise RuntimeError(f"train {name} ended: {process.communicate()[1][-500:]}")
            time.sleep(0.02)
        return time.perf_counter() - started, json.loads(line)["loss"]
    finally:
        process.kill()
        process.communicate()


def first_line(path: Path) -> str:
    """A file's first line; none before it is whole."""
    text = path.read_text() if path.is_file() else ""
    line, newline, _ = text.partition("\n")
    return line if newline else ""
