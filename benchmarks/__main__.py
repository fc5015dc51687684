"""``python -m benchmarks [NAME ...]``: see ``--help``."""

import argparse
import ast
import json
import os
import pkgutil
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import benchmarks
from benchmarks.process import Broken, Environment, found
from benchmarks.row import HEADINGS, Asked, Row


def questions() -> dict[str, str]:
    """The question of each benchmark, by its name; nothing is imported."""
    found = {}
    for module in pkgutil.iter_modules(benchmarks.__path__):
        tree = ast.parse((Path(benchmarks.__path__[0]) / f"{module.name}.py").read_text())
        if any(isinstance(node, ast.FunctionDef) and node.name == "rows" for node in tree.body):
            found[module.name] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return found


def line(cells: list[str] | tuple[str, ...]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def parse(args: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures ours beside its peers, and prints a table. `list` shows all names.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks; all if none is named")
    quick = "every row in some three minutes, seven with runs and data"
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all there is to FILE")
    parser.add_argument("--runs", type=Path, help="a folder of runs, called like their experiments")
    parser.add_argument("--data-dir", type=Path, help="where tensorflow_datasets keeps its data")
    parsed = parser.parse_args(args)
    unknown = set(parsed.names) - {*questions(), "list"}
    if unknown:
        parser.error(f"no benchmark {min(unknown)!r}: there are {', '.join(questions())}.")
    for folder in (parsed.runs, parsed.data_dir):
        if folder is not None and not folder.is_dir():
            parser.error(f"there is no folder {folder}.")
    return parsed


def main(args: list[str]) -> int:
    """Prints a table; returns 1 if a benchmark broke off."""
    parsed = parse(args)
    if parsed.names == ["list"]:
        for name, question in questions().items():
            print(f"{name:20}{question}")
        return 0
    asked = Asked(quick=parsed.quick, runs=parsed.runs, data_dir=parsed.data_dir)
    report: dict[str, Any] = {"quick": asked.quick, "rows": {}, "broken": {}}
    report["load_average"] = os.getloadavg()[0]
    started = time.time()
    print(line(HEADINGS), line(["---"] * len(HEADINGS)), sep="\n", flush=True)
    for name in parsed.names or questions():
        rows = report["rows"].setdefault(name, [])
        for message in found(name, asked):
            match message:
                case Row():
                    rows.append(asdict(message))
                    print(line(message.cells()), flush=True)
                case Broken(reason):
                    report["broken"][name] = reason
                    print(f"{name} broke off: {reason}", file=sys.stderr, flush=True)
                case Environment(about):
                    report["environment"] = about
    report["minutes"] = (time.time() - started) / 60
    if "environment" not in report:
        return 1
    print(f"\n{summary(report)}")
    if parsed.json:
        parsed.json.write_text(json.dumps(report, indent=2))
    return 1 if report["broken"] else 0


def summary(report: dict[str, Any]) -> str:
    """Device, versions, commit and minutes, in a line."""
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
