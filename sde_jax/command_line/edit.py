"""``sde-jax edit RUN``."""

import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sde_jax import figures
from sde_jax.arrays import Array
from sde_jax.atomic import whole_file
from sde_jax.command_line.output import output_file
from sde_jax.editing.images import image_scaling
from sde_jax.editing.labels import of_classes
from sde_jax.editing.options import EditOptions
from sde_jax.editing.prepared import Prepared
from sde_jax.editing.tasks import interpolation, restoration, stroke
from sde_jax.runs.generation import draw_all, is_valid
from sde_jax.runs.trained_run import ScoreRun, open_run
from sde_jax.training.processes import is_first, join_processes, raise_on_all

ANSWERS = ".npz"
SHOWN = 12
"""Rows and columns of answers in the picture."""


def main(options: EditOptions) -> dict[str, Any]:
    """Runs the command and returns its results."""
    join_processes()
    return execute(open_run(options.run, options.data), options)


def execute(run: ScoreRun, options: EditOptions) -> dict[str, Any]:
    """Draws the answers, writes them, and returns the results.

    The usual name holds the answers' checksum, so that only equal answers are replaced.
    """
    kinds: dict[str, Callable[[ScoreRun, EditOptions], Prepared]] = {
        "class": of_classes,
        "interpolate": interpolation,
        "stroke": stroke,
    }
    prepared = raise_on_all(lambda: kinds.get(options.task, restoration)(run, options))
    usual = run.directory.path / "edits" / "answers.png"
    out = raise_on_all(lambda: output_file(options.out, usual, beside=[ANSWERS]))
    started = time.perf_counter()
    samples = draw_all(
        prepared.draw,
        prepared.params,
        count=prepared.rows * prepared.draws,
        batch_size=options.batch_size,
        key=jax.random.key(options.seed),
    )
    seconds = time.perf_counter() - started
    answers = samples.x.reshape(prepared.rows, -1, *run.layout.shape)
    results = prepared.findings(answers)
    if options.out is None:
        checksum = zlib.crc32(answers.tobytes())
        out = out.with_name(f"{options.task}-{prepared.how}-{checksum:08x}.png")
    if is_first():
        write(run, prepared, answers, out)
    return {
        "task": options.task,
        **results,
        "questions": prepared.rows,
        "answers": answers.shape[1],
        "nfe": prepared.calls * float(samples.nfe.mean()),
        "seconds": round(seconds, 2),
        "out": str(out.with_suffix(ANSWERS)),
        "picture": str(out),
        "step": run.step,
        "failed": np.flatnonzero(~is_valid(samples)).tolist(),
    }


def write(run: ScoreRun, prepared: Prepared, answers: Array, out: Path) -> None:
    """Writes the answers in [0, 1], and a picture of the first of them."""
    images = np.asarray(image_scaling(run).to_unit_unrounded(answers), np.float32)
    with whole_file(out.with_suffix(ANSWERS)) as file:
        np.savez(file, samples=images)
    columns = {**prepared.given, prepared.title: images[:, :SHOWN], **prepared.truth}
    figures.image_rows({title: column[:SHOWN] for title, column in columns.items()}, out)
