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
from sde_jax.command_line.output import checked_output, writable
from sde_jax.command_line.parsing import parse
from sde_jax.editing.images import image_scaling
from sde_jax.editing.labels import of_classes
from sde_jax.editing.options import EditOptions
from sde_jax.editing.prepared import Prepared
from sde_jax.editing.tasks import interpolation, restoration, stroke
from sde_jax.runs.generation import concatenate, generate, is_valid
from sde_jax.runs.trained_run import ScoreRun, open_run
from sde_jax.training.devices import data_mesh
from sde_jax.training.processes import is_first, join_processes, raise_on_all

ANSWERS = ".npz"
SHOWN = 12
"""Rows and columns of answers in the picture."""


def main(args: list[str]) -> dict[str, Any]:
    """Runs the command and returns its results."""
    options = parse(EditOptions, args, "sde-jax edit")
    join_processes()
    return execute(open_run(options.run, data_mesh()), options)


def execute(run: ScoreRun, options: EditOptions) -> dict[str, Any]:
    """Draws the answers, writes them, and returns the results."""
    kinds: dict[str, Callable[[ScoreRun, EditOptions], Prepared]] = {
        "class": of_classes,
        "interpolate": interpolation,
        "stroke": stroke,
    }
    prepared = raise_on_all(lambda: kinds.get(options.task, restoration)(run, options))
    out = raise_on_all(lambda: output_path(run, options))
    started = time.perf_counter()
    samples = concatenate(
        generate(
            prepared.draw,
            prepared.params,
            key=jax.random.key(options.seed),
            count=prepared.rows * prepared.draws,
            batch_size=options.batch_size,
            mesh=data_mesh(),
        )
    )
    seconds = time.perf_counter() - started
    answers = samples.x.reshape(prepared.rows, -1, *run.layout.shape)
    results = prepared.findings(answers)
    if options.out is None:
        out /= f"{options.task}-{prepared.how}-{zlib.crc32(answers.tobytes()):08x}.png"
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


def output_path(run: ScoreRun, options: EditOptions) -> Path:
    """Returns the picture of ``--out``, or the folder RUN/edits.

    Their checksum is part of its name, so that only equal answers are replaced there.

    Raises:
      UsageError: if it cannot be written, or is there already and was asked for.
    """
    if options.out is not None:
        return checked_output(options.out, ".png", beside=[ANSWERS])
    return writable(run.directory.path / "edits" / "answers").parent
