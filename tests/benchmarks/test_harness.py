"""Tests of the command line, the processes and the rows of the table."""

import importlib
import json
import re
import sys
import types

import pytest

from benchmarks import __main__ as command, process
from benchmarks.conditions import Conditions
from benchmarks.process import Environment, Failure
from benchmarks.row import (
    HEADINGS,
    BenchmarkOptions,
    Row,
    Spread,
    format_number,
    format_spread,
    not_installed,
    spread,
)

ABOUT = {
    "python": "3.12",
    "packages": {"jax": "1.2", "torch": None},
    "git": None,
    "device": "abacus",
    "devices": 2,
    "cores": 3,
    "processor": "beads",
}


QUIET = Conditions(1.0, 0.97, 0.02, 0.01, 0.03)


def a_row(**fields):
    figures = {"ours": Spread(2.0, 1.5, 2.5), "theirs": Spread.of(3.0), "ratio": Spread.of(1.5)}
    texts = {"case": "a case", "unit": "s", "peer": "somebody", "checked": "4 is even"}
    return Row(**{**texts, **figures, **fields})


def replace_benchmarks(monkeypatch, messages):
    """Makes every benchmark send these messages; returns the list of their calls."""
    calls = []

    def run_in_process(name, options, one_core=False):
        calls.append((name, options, one_core) if one_core else (name, options))
        yield from messages

    monkeypatch.setattr(command, "run_in_process", run_in_process)
    return calls


def cells_of(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def test_every_benchmark_has_a_description_and_can_be_imported():
    descriptions = command.descriptions()
    assert {"few_steps", "network", "sampling", "cost", "sharding"} <= set(descriptions)
    for name, description in descriptions.items():
        assert re.match(r"(Measures|Compares) .*\.$", description), name
        assert callable(importlib.import_module(f"benchmarks.{name}").rows)


def test_list_prints_each_name_with_its_description(capsys):
    assert command.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(command.descriptions())
    assert all(" " in line and line.endswith(".") for line in lines)


@pytest.mark.parametrize(
    ("args", "message"),
    [(["nothing"], "no benchmark 'nothing': choose from"), (["--runs", "/no/where"], "no folder")],
)
def test_unknown_names_and_folders_are_refused_before_anything_runs(
    args, message, capsys, monkeypatch
):
    calls = replace_benchmarks(monkeypatch, [])
    with pytest.raises(SystemExit, match="2"):
        command.main(args)
    assert message in capsys.readouterr().err
    assert not calls


def test_table_has_a_cell_for_each_heading(monkeypatch, capsys, tmp_path):
    row = a_row(at_least=2.0, compile_seconds=12.34, peak_bytes=3 * 2**20)
    calls = replace_benchmarks(monkeypatch, [Environment(ABOUT), row])
    assert command.main(["cost", "--quick", "--runs", str(tmp_path)]) == 0
    assert calls == [("cost", BenchmarkOptions(quick=True, runs=tmp_path))]
    heading, rule, line, _, summary = capsys.readouterr().out.splitlines()
    assert cells_of(heading) == list(HEADINGS)
    assert set(rule) <= set("-| ")
    cells = dict(zip(HEADINGS, cells_of(line), strict=True))
    assert cells["ours"] == "2.00 (1.50 to 2.50) s"
    assert cells["peer's"] == "3.00 s"
    assert cells["at least"] == "2 **missed**"
    assert cells["to compile"] == "12.3 s"
    assert cells["memory"] == "3.00 MiB"
    assert cells["checked"] == "4 is even"
    for part in (
        "2 x abacus",
        "3 cores of beads",
        "jax 1.2",
        "torch missing",
        "commit unknown",
        "load average",
    ):
        assert part in summary


def test_json_file_holds_every_field_of_a_row(monkeypatch, tmp_path):
    row = a_row(at_least=1.0)
    replace_benchmarks(monkeypatch, [Environment(ABOUT), row])
    file = tmp_path / "report.json"
    assert command.main(["cost", "--json", str(file)]) == 0
    report = json.loads(file.read_text())
    assert report["environment"] == ABOUT
    assert report["failed"] == {}
    (stored,) = report["rows"]["cost"]
    for name in ("ours", "theirs", "ratio"):
        stored[name] = Spread(*stored[name])
    assert Row(**stored) == row


def test_failed_benchmark_keeps_its_rows_and_returns_one(monkeypatch, capsys, tmp_path):
    replace_benchmarks(
        monkeypatch, [Environment(ABOUT), a_row(), Failure("AssertionError: 4 is odd")]
    )
    file = tmp_path / "report.json"
    assert command.main(["cost", "network", "--json", str(file)]) == 1
    report = json.loads(file.read_text())
    assert set(report["failed"]) == {"cost", "network"}
    assert all(len(rows) == 1 for rows in report["rows"].values())
    assert "cost failed: AssertionError: 4 is odd" in capsys.readouterr().err


def test_timings_on_a_cpu_come_again_on_one_core(monkeypatch, capsys):
    timed, other = a_row(conditions=QUIET, at_least=1.0), a_row(case="of errors")
    calls = replace_benchmarks(monkeypatch, [Environment(ABOUT), timed, other])
    assert command.main(["cost"]) == 0
    assert calls == [("cost", BenchmarkOptions()), ("cost", BenchmarkOptions(), True)]
    _, _, *lines, _, _ = capsys.readouterr().out.splitlines()
    rows = [dict(zip(HEADINGS, cells_of(line), strict=True)) for line in lines]
    assert [row["case"] for row in rows] == ["a case", "of errors", "a case, one core"]
    machine = "1.00 and 0.97, stolen 2%, others 1%, waited 3%"
    assert [row["machine"] for row in rows] == [machine, "", machine]


@pytest.mark.parametrize("slow_side", ["ours", "theirs"])
def test_a_busy_machine_gets_no_verdict(slow_side):
    assert a_row(conditions=QUIET, at_least=1.0).reached
    row = a_row(conditions=QUIET._replace(**{slow_side: 0.69}), at_least=1.0)
    assert row.reached is None
    cells = dict(zip(HEADINGS, row.cells(), strict=True))
    assert cells["at least"] == "1 busy, not counted"


class Pipe:
    """Records the messages that are sent."""

    def __init__(self):
        self.sent = []

    def send(self, message):
        self.sent.append(message)


def test_failing_check_ends_a_benchmark_after_its_rows(monkeypatch, capsys):
    def rows(options):
        yield a_row()
        assert options.quick, "4 is odd"

    monkeypatch.setitem(sys.modules, "benchmarks.planted", types.SimpleNamespace(rows=rows))
    pipe, quick = Pipe(), Pipe()
    process.send_rows("planted", BenchmarkOptions(), pipe)
    environment, row, failure = pipe.sent
    assert environment.about["cores"] >= 1
    assert {"jax", "torch", "scipy", "diffusers"} <= set(environment.about["packages"])
    assert row == a_row()
    assert failure.reason.startswith("AssertionError: 4 is odd")
    assert "4 is odd" in capsys.readouterr().err
    process.send_rows("planted", BenchmarkOptions(quick=True), quick)
    assert [type(message) for message in quick.sent] == [Environment, Row]
    nobody = Pipe()
    process.send_rows("no_such", BenchmarkOptions(), nobody)
    assert "no_such" in nobody.sent[-1].reason


def test_benchmark_runs_in_a_process_of_its_own():
    first, failure = process.run_in_process("no_such", BenchmarkOptions())
    assert isinstance(first, Environment)
    assert "no_such" in failure.reason


@pytest.mark.slow("test_benchmark_runs_in_a_process_of_its_own")
def test_benchmark_of_large_networks_runs_in_a_process_of_its_own():
    first, *others = process.run_in_process("sharding", BenchmarkOptions(quick=True))
    assert isinstance(first, Environment)
    # The tests force eight devices by a flag that the new process inherits; counting needs none.
    assert len(others) == 3
    for row in others:
        assert row.peak_bytes is None
        assert 7 < row.ratio.value < 8


@pytest.mark.parametrize(
    "fields",
    [
        {"missing": "torch"},
        {"theirs": None},
        {"ours": None},
    ],
)
def test_row_has_both_figures_or_says_why_not(fields):
    with pytest.raises(ValueError, match="`missing`"):
        a_row(**fields)


def test_missing_peer_is_named_with_its_remedy():
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module("no_such_peer")
    missing = not_installed(caught.value)
    assert missing == "no no_such_peer: pip install -e '.[benchmark]'"
    row = a_row(theirs=None, ratio=None, missing=missing, at_least=1.0)
    assert row.reached is None
    cells = dict(zip(HEADINGS, row.cells(), strict=True))
    assert cells["peer's"] == f"missing: {missing}"
    assert cells["ours"] == "2.00 (1.50 to 2.50) s"
    assert cells["at least"] == "1"


@pytest.mark.parametrize(("value", "reached"), [(0.69, False), (0.7, True), (0.71, True)])
def test_ratio_is_judged_by_its_value(value, reached):
    row = a_row(ratio=Spread(value, 0.1, 9.0), at_least=0.7)
    assert row.reached is reached
    assert a_row().reached is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234567.8, "1,234,568"),
        (123.45, "123"),
        (1.0, "1.00"),
        (0.012345, "0.0123"),
        (1.2e-5, "1.20e-05"),
        (3.0e8, "3.00e+08"),
        (-2.5, "-2.50"),
        (0, "0"),
        (float("nan"), "nan"),
    ],
)
def test_numbers_have_three_digits(value, text):
    assert format_number(value) == text


def test_ends_are_shown_where_they_can_be_told_apart():
    assert format_spread(Spread(1.0, 0.9999, 1.0001), "s") == "1.00 s"
    assert format_spread(Spread(1.0, 0.9, 1.2), "s") == "1.00 (0.900 to 1.20) s"
    assert format_spread(Spread.of(4.0, 0.5).scaled(2), "") == "8.00 (7.00 to 9.00)"
    assert format_spread(None, "s") == ""


def test_spread_is_of_the_median_and_quartiles():
    assert spread([5.0, 1.0, 2.0, 3.0, 4.0]) == Spread(3.0, 2.0, 4.0)
    assert spread([7.0]) == Spread(7.0, 7.0, 7.0)


def test_readme_names_every_benchmark():
    text = (command.Path(command.benchmarks.__path__[0]) / "README.md").read_text()
    named = set(re.findall(r"`(?:python -m benchmarks )?(\w+)", text))
    assert set(command.descriptions()) <= named
