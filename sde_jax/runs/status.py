"""The status of a run, from its files alone: on any host, without touching a device."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sde_jax.training.checkpoint import saved_steps
from sde_jax.training.errors import NotARunError
from sde_jax.training.run_directory import RunDirectory
from sde_jax.validation import fits

RECENT_LINES = 20
"""Lines that the time left and the usual time between lines are estimated from."""
LINES_MISSED = 5
PATIENCE_SECONDS = 300.0
"""Allowance for compiling and saving, which write nothing meanwhile."""
START_PATIENCE_SECONDS = 900.0

State = Literal["starting", "training", "silent", "finished"]


@dataclass(frozen=True, kw_only=True)
class Status:
    """Status of a run; ages and durations in seconds, None where nothing is known yet."""

    name: str
    state: State
    """silent: no sign of life for much longer than usual; it was stopped, or is stuck."""
    step: int
    steps: int
    images_per_second: float | None
    seconds_left: float | None
    loss: float | None
    held_out_loss: float | None
    held_out_step: int | None
    checkpoint: int | None
    """Step of the newest complete checkpoint."""
    checkpoint_age: float | None
    picture: str | None
    """Path of the newest picture of samples, relative to the run."""
    picture_age: float | None
    line_age: float | None
    """Age of the last line of the metrics."""
    line_interval: float | None
    """Usual time from one line to the next."""


def read_status(run: RunDirectory, metrics: list[dict[str, Any]]) -> Status:
    """Returns the status of a run with those metrics.

    Raises:
      NotARunError: if its configuration is not that of an experiment.
    """
    name: Any = run.config.get("name")
    steps: Any = run.config
    for key in ("experiment", "training", "steps"):
        steps = steps.get(key) if isinstance(steps, dict) else None
    if not (fits(name, str) and fits(steps, int) and steps > 0):
        raise NotARunError(
            f"{run.path / 'config.json'} is not that of an experiment: it needs a `name` and "
            "positive `experiment.training.steps`"
        )
    checkpoint = max(saved_steps(run.checkpoints), default=None)
    picture = newest(run.pictures.glob("samples-*.png"))
    step = max(checkpoint or 0, metrics[-1]["step"] if metrics else 0)
    seconds_per_step, line_interval = pace(metrics)
    return Status(
        name=name,
        state=state_of(run, steps, checkpoint, bool(metrics), line_interval),
        step=step,
        steps=steps,
        images_per_second=last(metrics, "images_per_second"),
        seconds_left=None if seconds_per_step is None else max(steps - step, 0) * seconds_per_step,
        loss=last(metrics, "loss"),
        held_out_loss=last(metrics, "held_out_loss"),
        held_out_step=next((m["step"] for m in reversed(metrics) if "held_out_loss" in m), None),
        checkpoint=checkpoint,
        checkpoint_age=None if checkpoint is None else age(run.checkpoints / str(checkpoint)),
        picture=None if picture is None else str(picture.relative_to(run.path)),
        picture_age=None if picture is None else age(picture),
        line_age=age(run.metrics) if metrics else None,
        line_interval=line_interval,
    )


def state_of(
    run: RunDirectory,
    steps: int,
    checkpoint: int | None,
    has_lines: bool,
    line_interval: float | None,
) -> State:
    """Infers the state of a process that may be on another host from the age of its files."""
    if checkpoint is not None and checkpoint >= steps:
        return "finished"
    patience = max(PATIENCE_SECONDS, LINES_MISSED * (line_interval or 0))
    if not has_lines:
        patience = START_PATIENCE_SECONDS
    sign = newest((run.path / "config.json", run.metrics, *run.logs.glob("*")))
    quiet = None if sign is None else age(sign)
    if quiet is None or quiet > patience:
        return "silent"
    return "training" if has_lines else "starting"


def pace(metrics: list[dict[str, Any]]) -> tuple[float | None, float | None]:
    """Returns seconds per step and per line, all work included, over the last lines."""
    timed = [(line["step"], line["seconds"]) for line in metrics if "seconds" in line]
    timed = timed[-RECENT_LINES:]
    if len(timed) < 2:
        return None, None
    (first, since), (step, until) = timed[0], timed[-1]
    if step <= first:
        return None, None
    return (until - since) / (step - first), (until - since) / (len(timed) - 1)


def last(metrics: list[dict[str, Any]], name: str) -> float | None:
    """Returns the last value of that name."""
    return next((line[name] for line in reversed(metrics) if name in line), None)


def newest(paths: Iterable[Path]) -> Path | None:
    """Returns the path that was changed last, of those that exist."""
    times = {path: changed for path in paths if (changed := changed_at(path)) is not None}
    return max(times, key=times.__getitem__) if times else None


def age(path: Path) -> float | None:
    """Returns the seconds since ``path`` was changed; 0 where another host's clock is ahead."""
    changed = changed_at(path)
    return None if changed is None else max(0.0, round(time.time() - changed, 1))


def changed_at(path: Path) -> float | None:
    """Returns the time of the last change of ``path``; None if it is gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


def curves(metrics: list[dict[str, Any]]) -> Mapping[str, list[tuple[float, float]]]:
    """Returns steps and values of training and held-out loss."""
    names = {"loss": "training", "held_out_loss": "held out"}
    return {
        label: [(line["step"], line[name]) for line in metrics if name in line]
        for name, label in names.items()
    }


def training_seconds(run: RunDirectory) -> float:
    """Returns the seconds of training, evaluating and saving included, over all interruptions."""
    return last(run.read_metrics(), "seconds") or 0.0
