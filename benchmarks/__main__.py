"""Command line: ``python -m benchmarks [NAME ...]``; see ``--help``."""

import argparse
import ast
import json
import os
import pkgutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import benchmarks
from benchmarks.process import Environment, Failure, can_choose_cores, run_in_process
from benchmarks.row import HEADINGS, BenchmarkOptions, Row


def descriptions() -> dict[str, str]:
    """Returns the description of each benchmark by name, without importing it."""
    found = {}
    for module in pkgutil.iter_modules(benchmarks.__path__):
        tree = ast.parse((Path(benchmarks.__path__[0]) / f"{module.name}.py").read_text())
        if any(isinstance(node, ast.FunctionDef) and node.name == "rows" for node in tree.body):
            found[module.name] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return found


def table_line(cells: list[str] | tuple[str, ...]) -> str:
    """Formats a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def parse(args: list[str]) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Compares the library with its peers and prints a table; `list` prints names.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks (default: all)")
    quick = "run small cases: about three minutes, seven with runs and data"
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all results to FILE")
    parser.add_argument("--runs", type=Path, help="folder of runs named after their experiments")
    parser.add_argument("--data-dir", type=Path, help="folder of tensorflow_datasets")
    parsed = parser.parse_args(args)
    unknown = set(parsed.names) - {*descriptions(), "list"}
    if unknown:
        parser.error(f"no benchmark {min(unknown)!r}: choose from {', '.join(descriptions())}.")
    for folder in (parsed.runs, parsed.data_dir):
        if folder is not None and not folder.is_dir():
            parser.error(f"no folder {folder}: name an existing one.")
    return parsed


def main(args: list[str]) -> int:
    """Prints the table; returns 1 if a benchmark failed."""
    parsed = parse(args)
    if parsed.names == ["list"]:
        for name, description in descriptions().items():
            print(f"{name:20}{description}")
        return 0
    options = BenchmarkOptions(quick=parsed.quick, runs=parsed.runs, data_dir=parsed.data_dir)
    report: dict[str, Any] = {"quick": options.quick, "rows": {}, "failed": {}}
    report["load_average"] = os.getloadavg()[0]
    started = time.time()
    print(table_line(HEADINGS), table_line(["---"] * len(HEADINGS)), sep="\n", flush=True)
    for name in parsed.names or descriptions():
        rows = report["rows"].setdefault(name, [])
        for message in measure(name, options):
            match message:
                case Row():
                    rows.append(asdict(message))
                    print(table_line(message.cells()), flush=True)
                case Failure(reason):
                    report["failed"][name] = reason
                    print(f"{name} failed: {reason}", file=sys.stderr, flush=True)
                case Environment(about):
                    report["environment"] = about
    report["minutes"] = (time.time() - started) / 60
    if "environment" not in report:
        return 1
    print(f"\n{summary(report)}")
    if parsed.json:
        parsed.json.write_text(json.dumps(report, indent=2))
    return 1 if report["failed"] else 0


def measure(name: str, options: BenchmarkOptions) -> Iterator[Environment | Row | Failure]:
    """Runs a benchmark, and its timings on a CPU again on one core."""
    timed = False
    for message in run_in_process(name, options):
        timed |= isinstance(message, Row) and message.conditions is not None
        yield message
    if not timed or not can_choose_cores():
        return
    for message in run_in_process(name, options, one_core=True):
        if isinstance(message, Failure):
            yield Failure(f"{message.reason} (on one core)")
        elif isinstance(message, Row) and message.conditions is not None:
            yield replace(message, case=f"{message.case}, one core")


def summary(report: dict[str, Any]) -> str:
    """Returns device, versions, commit, minutes and load in one line."""
    here = report["environment"]
    packages = ", ".join(
        f"{name} {version or 'missing'}" for name, version in here["packages"].items()
    )
    git = here["git"] or {"revision": "unknown", "dirty": False}
    return (
        f"{here['devices']} x {here['device']}, {here['cores']} cores of {here['processor']}; "
        f"Python {here['python']}, {packages}; commit {git['revision'][:7]}"
        f"{' with changes' if git['dirty'] else ''}; {report['minutes']:.1f} minutes, "
        f"load average {report['load_average']:.1f} at the start."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
