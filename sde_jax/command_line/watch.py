"""``sde-jax watch RUN``."""

import dataclasses
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sde_jax.command_line.options.watch import Watch
from sde_jax.command_line.text_chart import text_chart
from sde_jax.runs.status import Status, curves, read_status
from sde_jax.training.run_directory import RunDirectory

REFRESH_SECONDS = 3.0
CLEAR = "\x1b[H\x1b[2J"
CHART_WIDTH, CHART_HEIGHT = 64, 8
MARGIN = 12


def main(options: Watch) -> dict[str, Any]:
    """Runs the command and returns the last status."""
    path = options.run
    status, damaged = show(path)
    try:
        while sys.stdout.isatty() and status.state != "finished":
            time.sleep(REFRESH_SECONDS)
            status, damaged = show(path)
    except KeyboardInterrupt:
        print()
    skipped = {"damaged_lines": damaged} if damaged else {}
    return {"run": str(path), **dataclasses.asdict(status), **skipped}


def show(path: Path) -> tuple[Status, int]:
    """Reads the run and prints its status; on a terminal, it replaces the last one.

    Returns the status and the number of damaged lines of the metrics, which are skipped.
    """
    run = RunDirectory.open(path)
    lines = run.parsed_lines()
    metrics, damaged = list(filter(None, lines)), lines.count({})
    status = read_status(run, metrics)
    width = min(CHART_WIDTH, shutil.get_terminal_size().columns - MARGIN)
    chart = text_chart(curves(metrics), width=width, height=CHART_HEIGHT) if width > 0 else []
    skipped = [f"  {damaged} damaged lines of {run.metrics.name} are skipped"] if damaged else []
    shown = [f"{status.name} in {path}: {status.state}", *facts(status), *skipped, *chart]
    print(CLEAR if sys.stdout.isatty() else "", end="")
    print(*shown, sep="\n", flush=True)
    return status, damaged


def facts(status: Status) -> list[str]:
    """Returns the status as lines of text."""
    values = {
        "step": f"{status.step:,} of {status.steps:,} ({status.step / status.steps:.0%})",
        "rate": stated("{:,.0f} images/s", status.images_per_second),
        "time left": stated("{}", duration(status.seconds_left)),
        "loss": stated("{:.4g}", status.loss),
        "held out": stated("{:.4g} at step {:,}", status.held_out_loss, status.held_out_step),
        "checkpoint": stated(
            "step {:,}, {} ago", status.checkpoint, duration(status.checkpoint_age)
        ),
        "picture": stated("{}, {} ago", status.picture, duration(status.picture_age)),
        "last line": stated("{} ago", duration(status.line_age))
        + stated(", usually every {}", duration(status.line_interval), otherwise=""),
    }
    return [f"  {name:10}  {value}" for name, value in values.items()]


def stated(words: str, *values: Any, otherwise: str = "none yet") -> str:
    """Fills in the values where all are known."""
    return otherwise if None in values else words.format(*values)


def duration(seconds: float | None) -> str | None:
    """Formats a duration as minutes and seconds, with hours where there are any."""
    return None if seconds is None else tqdm.format_interval(seconds)
