"""A run that is killed again and again must end as one that never was.

    python -m tests.soak --minutes 30 --kills 50

Trains small digits on CPU with a checkpoint every few seconds, in pieces of random length over the
given minutes, each ended by SIGKILL, every other one while a checkpoint is being saved, and the
last not at all; then as many steps without a kill, which takes about as long again. Fails unless

- after each kill the newest checkpoint can be read and is no older than the one before,
- both runs end with bitwise the same parameters, optimizer and metrics, and no picture is missing,
- memory is flat: the resident set of the training process, read from /proc every 0.2 seconds, is in
  the last quarter of the unbroken run (median, from the first checkpoint on) not above that of the
  second quarter by more than a twentieth and what orbax loses at each save, and its peak in the
  second half of the pieces (those that saved something) not above that of the first half.

The killed run has JAX's compilation cache, filled before, and draws pictures; the unbroken one has
and does neither. Progress goes to stderr, one JSON object to stdout; the exit code is 1 on failure.
Needs Linux.
"""

import functools
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import tyro

from sde_jax.recipes.named import Named
from sde_jax.training import CheckpointError, Checkpoints, RunDirectory, abstract_state, data_mesh
from sde_jax.training.checkpoint import saved_steps
from tests.killing import kill_when, unfinished
from tests.training.toy_run import lines

ROOT = Path(__file__).parents[1]
CHECKPOINT_EVERY = 100
OPTIONS = [
    *("--network.channels", 8, "--network.multipliers", 1, "--optimizer.decay", "constant"),
    "--network.attention-resolutions",
    *("--training.batch-size", 32, "--training.eval-examples", 32, "--training.log-every", 20),
    *("--training.eval-every", 100, "--training.checkpoint-every", CHECKPOINT_EVERY),
]
"""With a constant learning rate a run does not depend on how long it will be."""
SAMPLE_EVERY = 400
NO_CACHE = {"JAX_ENABLE_COMPILATION_CACHE": "false"}
CACHE_ALL = {
    "JAX_ENABLE_COMPILATION_CACHE": "true",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
}
FOREVER = 10**8
REST = 200
"""Steps of the last piece, at least."""
GROWTH = 1.05
LOST = 0.15
"""MiB that a save may lose: orbax asks TensorStore twice how many bytes it has written, and
TensorStore (0.1.86) never frees its answers, 24 lists a save."""
FEWEST_LOOKS, FEWEST_PIECES = 600, 6
"""With fewer (looks of two minutes) memory is not judged: it still warms up."""


class SoakError(Exception):
    """The run has lost something, or ends differently."""


@dataclass(frozen=True, kw_only=True)
class Soak:
    """Kills a run again and again, and compares its end with that of one that is not killed."""

    minutes: float = 30.0
    """How long the run lasts that is killed."""
    kills: int = 50
    """How often it is killed."""
    seed: int = 0
    """Seed of the moments."""


class Trainer:
    """A process that trains in ``folder`` up to ``steps``, and how much memory it has had."""

    def __init__(self, folder, steps, *, cache=None, sample_every=0):
        self.began, self.started, self.looked = time.time(), time.monotonic(), 0.0
        self.folder = folder
        self.memory = []
        cached = (
            NO_CACHE if cache is None else {"JAX_COMPILATION_CACHE_DIR": str(cache), **CACHE_ALL}
        )
        options = [*OPTIONS, "--training.steps", steps, "--training.sample-every", sample_every]
        flags = os.environ.get("XLA_FLAGS", "")
        one_device = f"{flags} --xla_force_host_platform_device_count=1"
        self.errors = folder.with_suffix(".err")
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sde_jax", "train", "digits_vp", "--resume"]
                + ["--workdir", str(folder), *map(str, options)],
                cwd=ROOT,
                env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": one_device, **cached},
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )

    @property
    def age(self):
        return time.monotonic() - self.started

    def look(self):
        """Notes the resident set in MiB, now and then, once the run has a checkpoint."""
        if self.age < self.looked + 0.2:
            return
        self.looked = self.age
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        if pages and saved_steps(self.folder / "checkpoints"):
            self.memory.append(pages * resource.getpagesize() / 2**20)

    def trains(self, moment, delay):
        """Whether a moment has come, and waits for a delay after it."""
        if self.age < moment:
            return False
        time.sleep(delay)
        return True

    def saves(self, moment, delay):
        """As `trains`, for the first moment from there on at which a checkpoint is being saved."""
        return bool(unfinished(self.folder, self.began)) and self.trains(moment, delay)

    def finish(self):
        while self.process.poll() is None:
            self.look()
            time.sleep(0.1)
        if self.process.returncode:
            raise SoakError(f"the run ended with code {self.process.returncode}: {self.said()}")

    def said(self):
        """The last line on stderr."""
        return self.errors.read_text().strip().splitlines()[-1:]


def newest(folder):
    """The newest complete checkpoint of a run, which must be readable; None if there is none."""
    with Checkpoints(folder / "checkpoints") as checkpoints:
        steps = checkpoints.steps()
        if not steps:
            return None
        experiment = Named.from_config(RunDirectory.open(folder).config).experiment
        learner = experiment.learner(experiment.data.layout().shape)
        return checkpoints.restore(steps[-1], abstract_state(learner, data_mesh()))


def broken_run(folder, soak, cache, say):
    """Trains in pieces; returns each one's peak of memory, and how many were killed in a save."""
    chance = random.Random(soak.seed)
    longest = 2 * 60 * soak.minutes / soak.kills
    step, peaks, in_saves = 0, [], 0
    for number in range(1, soak.kills + 1):
        moment, aimed = chance.uniform(0, longest), number % 2 == 0
        delay = chance.uniform(0, 0.1)
        trainer = Trainer(folder, FOREVER, cache=cache, sample_every=SAMPLE_EVERY)
        ready = functools.partial(trainer.saves if aimed else trainer.trains, moment, delay)
        if not kill_when(trainer.process, ready, within=longest + 120, look=trainer.look):
            raise SoakError(f"the run ended before it could be killed: {trainer.said()}")
        cut = unfinished(folder, trainer.began)
        in_saves += bool(cut)
        restored = newest(folder)
        now = 0 if restored is None else restored.step
        say(f"kill {number} after {trainer.age:.0f} s: step {now}, saving: {cut}")
        if now < step:
            raise SoakError(f"kill {number} lost the checkpoint of step {step}: there is {now}")
        if now > step and trainer.memory:
            peaks.append(max(trainer.memory))
        step = now
    last = Trainer(folder, step + REST, cache=cache, sample_every=SAMPLE_EVERY)
    last.finish()
    return peaks, in_saves


def compare(killed, whole):
    """Raises SoakError unless two finished runs are the same."""
    actual, expected = newest(killed), newest(whole)
    if actual.step != expected.step:
        raise SoakError(f"the runs end at steps {actual.step} and {expected.step}")
    leaves = zip(*map(jax.tree.leaves, (actual.state, expected.state)), strict=True)
    differing = sum(np.asarray(a).tobytes() != np.asarray(b).tobytes() for a, b in leaves)
    if differing:
        raise SoakError(f"{differing} arrays of the last state differ")
    if lines(killed) != lines(whole):
        raise SoakError("the metrics differ")
    steps = {*range(SAMPLE_EVERY, actual.step, SAMPLE_EVERY), actual.step}
    missing = {f"samples-{step}.png" for step in steps} - {
        path.name for path in (killed / "pictures").iterdir()
    }
    if missing:
        raise SoakError(f"pictures are missing: {sorted(missing)}")


def flat(what, early, late, *, lost=0.0):
    """The two numbers of MiB, for the report; raises SoakError if the second one is larger."""
    if late > GROWTH * early + lost:
        raise SoakError(f"memory grows {what}: from {early:.0f} to {late:.0f} MiB")
    return {"early": round(early, 1), "late": round(late, 1)}


def memory_of(values, peaks, saves):
    """What is known of memory; raises SoakError where it grows."""
    report = {"over_a_life": None, "over_pieces": None}
    quarter, half = len(values) // 4, len(peaks) // 2
    if len(values) >= FEWEST_LOOKS:
        early, late = map(statistics.median, (values[quarter : 2 * quarter], values[-quarter:]))
        report["over_a_life"] = flat(
            "over the life of a process", early, late, lost=LOST * saves / 2
        )
    if len(peaks) >= FEWEST_PIECES:
        early, late = max(peaks[:half]), max(peaks[half:])
        report["over_pieces"] = flat("from piece to piece", early, late)
    return report


def run(soak, folder, say):
    """Both runs and all comparisons; the report."""
    Trainer(folder / "warm", 20, cache=folder / "cache", sample_every=20).finish()
    say("the compilation cache is filled")
    began = time.monotonic()
    peaks, in_saves = broken_run(folder / "killed", soak, folder / "cache", say)
    seconds = time.monotonic() - began
    steps = newest(folder / "killed").step
    say(f"{steps} steps with {soak.kills} kills; now without")
    whole = Trainer(folder / "whole", steps)
    whole.finish()
    compare(folder / "killed", folder / "whole")
    return {
        "kills": soak.kills,
        "kills_while_saving": in_saves,
        "minutes": round(seconds / 60, 1),
        "minutes_without_kills": round(whole.age / 60, 1),
        "steps": steps,
        "memory_mib": memory_of(whole.memory, peaks, steps // CHECKPOINT_EVERY),
    }


def main():
    """Runs the soak; returns the exit code."""
    soak = tyro.cli(Soak, prog="python -m tests.soak")
    jax.config.update("jax_platforms", "cpu")
    folder = Path(tempfile.mkdtemp(prefix="soak"))

    def say(line):
        print(line, file=sys.stderr, flush=True)

    try:
        report = {"passed": True, **run(soak, folder, say)}
    except (SoakError, CheckpointError) as error:
        print(json.dumps({"passed": False, "problem": str(error), "folder": str(folder)}))
        return 1
    shutil.rmtree(folder)
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
