"""``sde-jax evaluate RUN``."""

from collections.abc import Mapping
from typing import Any

from sde_jax.command_line.opening import open_first
from sde_jax.command_line.options.evaluate import parsed
from sde_jax.evaluation.evaluation import RECORD, REPORT, evaluate
from sde_jax.evaluation.task import Task
from sde_jax.evaluation.wording import with_error
from sde_jax.runs.conditions import given, read_condition
from sde_jax.training.processes import is_first


def main(args: list[str]) -> dict[str, Any]:
    """Runs the command and returns its results."""
    run = open_first(args)
    options = parsed(args, run.directory.path, run.experiment)
    rows = read_condition(run, options.condition)
    conditional = (
        run if rows is None else given(run, rows, count=options.settings.count, of="samples")
    )
    task = Task(
        run=run,
        condition=conditional.condition,
        settings=options.settings,
        likelihood=options.likelihood,
        seed=options.seed,
        batch_size=options.batch_size,
    )
    record = evaluate(task, options.statistics)
    if is_first():
        print(*lines(record), sep="\n")
    return {
        "out": str(task.folder / RECORD),
        "report": str(task.folder / REPORT),
        "step": record["step"],
        "count": record["count"],
        "results": {name: value for name, value, _ in named_values(record)},
        "seconds": round(sum(record["seconds"].values()), 1),
        "failed": failed(record),
    }


def failed(record: Mapping[str, Any]) -> list[int]:
    """Returns the numbers of the samples and examples without a result."""
    of_findings = (finding.get("failed", []) for finding in record["findings"])
    return sorted({*record["samples"]["failed"], *(j for part in of_findings for j in part)})


def named_values(record: Mapping[str, Any]) -> list[tuple[str, float | None, str]]:
    """Returns the name, value and line of each finding of the run, beside that of held-out data."""
    held_out = {
        (f["features"], f["metric"]): with_error(f["value"], f["stderr"], "+-")
        for f in record["findings"]
        if f["of"] != "run"
    }
    found = []
    for f in (f for f in record["findings"] if f["of"] == "run"):
        key = f["features"], f["metric"]
        beside = [f"held-out data {held_out[key]}"] if key in held_out else []
        if f["expected"] is not None:
            beside.append(f"expected of one distribution {f['expected']:.3g}")
        notes = f"  ({'; '.join(beside)})" if beside else ""
        text = with_error(f["value"], f["stderr"], "+-") + notes
        found.append((".".join(filter(None, key)), f["value"], text))
    return found


def lines(record: Mapping[str, Any]) -> list[str]:
    """Returns the findings as lines of text."""
    named = named_values(record)
    width = max((len(name) for name, _, _ in named), default=0)
    return [f"{name:{width}}  {line}" for name, _, line in named]
