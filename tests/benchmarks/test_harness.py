"""The table: its command line, its processes, its figures."""

import importlib
import json
import re
import sys
import types

import pytest

from benchmarks import __main__ as command
from benchmarks import process
from benchmarks.process import Broken, Environment
from benchmarks.row import HEADINGS, Asked, Row, Spread, figure, not_installed, number, spread

ABOUT = {
    "python": "3.12",
    "packages": {"jax": "1.2", "torch": None},
    "git": None,
    "device": "abacus",
    "devices": 2,
    "cores": 3,
    "processor": "beads",
}


def a_row(**fields):
    figures = {"ours": Spread(2.0, 1.5, 2.5), "theirs": Spread.of(3.0), "ratio": Spread.of(1.5)}
    texts = {"case": "a case", "unit": "s", "peer": "somebody", "checked": "4 is even"}
    return Row(**{**texts, **figures, **fields})


def measuring(monkeypatch, messages):
    """Lets every benchmark send these messages, and keeps what was asked for."""
    asked_for = []

    def found(name, asked):
        asked_for.append((name, asked))
        yield from messages

    monkeypatch.setattr(command, "found", found)
    return asked_for


def cells_of(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def test_every_benchmark_is_a_question_that_can_be_imported():
    questions = command.questions()
    assert {"few_steps", "network", "sampling", "cost", "sharding"} <= set(questions)
    for name, question in questions.items():
        assert question.endswith("?"), name
        assert callable(importlib.import_module(f"benchmarks.{name}").rows)


def test_list_prints_each_name_with_its_question(capsys):
    assert command.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(command.questions())
    assert all(" " in line and line.endswith("?") for line in lines)


@pytest.mark.parametrize(
    ("args", "message"),
    [(["nothing"], "no benchmark 'nothing': there are"), (["--runs", "/no/where"], "no folder")],
)
def test_what_is_not_there_is_refused_before_anything_runs(args, message, capsys, monkeypatch):
    asked_for = measuring(monkeypatch, [])
    with pytest.raises(SystemExit, match="2"):
        command.main(args)
    assert message in capsys.readouterr().err
    assert not asked_for


def test_table_has_a_cell_for_each_heading(monkeypatch, capsys, tmp_path):
    row = a_row(at_least=2.0, compile_seconds=12.34, peak_bytes=3 * 2**20)
    asked_for = measuring(monkeypatch, [Environment(ABOUT), row])
    assert command.main(["cost", "--quick", "--runs", str(tmp_path)]) == 0
    assert asked_for == [("cost", Asked(quick=True, runs=tmp_path))]
    heading, rule, line, _, summary = capsys.readouterr().out.splitlines()
    assert cells_of(heading) == list(HEADINGS)
    assert set(rule) <= set("-| ")
    found = dict(zip(HEADINGS, cells_of(line), strict=True))
    assert found["ours"] == "2.00 (1.50 to 2.50) s"
    assert found["peer's"] == "3.00 s"
    assert found["at least"] == "2 **missed**"
    assert found["to compile"] == "12.3 s"
    assert found["memory"] == "3.00 MiB"
    assert found["checked"] == "4 is even"
    for part in (
        "2 x abacus",
        "3 cores of beads",
        "jax 1.2",
        "torch missing",
        "commit unknown",
        "load average",
    ):
        assert part in summary


def test_file_holds_all_that_the_table_shows(monkeypatch, tmp_path):
    row = a_row(at_least=1.0)
    measuring(monkeypatch, [Environment(ABOUT), row])
    file = tmp_path / "report.json"
    assert command.main(["cost", "--json", str(file)]) == 0
    report = json.loads(file.read_text())
    assert report["environment"] == ABOUT
    assert report["broken"] == {}
    (stored,) = report["rows"]["cost"]
    for name in ("ours", "theirs", "ratio"):
        stored[name] = Spread(*stored[name])
    assert Row(**stored) == row


def test_benchmark_that_breaks_off_keeps_its_rows_and_fails(monkeypatch, capsys, tmp_path):
    measuring(monkeypatch, [Environment(ABOUT), a_row(), Broken("AssertionError: 4 is odd")])
    file = tmp_path / "report.json"
    assert command.main(["cost", "network", "--json", str(file)]) == 1
    report = json.loads(file.read_text())
    assert set(report["broken"]) == {"cost", "network"}
    assert all(len(rows) == 1 for rows in report["rows"].values())
    assert "cost broke off: AssertionError: 4 is odd" in capsys.readouterr().err


class Pipe:
    """Keeps what is sent."""

    def __init__(self):
        self.sent = []

    def send(self, message):
        self.sent.append(message)


def test_failing_check_ends_a_benchmark_after_its_rows(monkeypatch, capsys):
    def rows(asked):
        yield a_row()
        assert asked.quick, "4 is odd"

    monkeypatch.setitem(sys.modules, "benchmarks.planted", types.SimpleNamespace(rows=rows))
    pipe, quick = Pipe(), Pipe()
    process.measure("planted", Asked(), pipe)
    environment, row, broken = pipe.sent
    assert environment.about["cores"] >= 1
    assert {"jax", "torch", "scipy", "diffusers"} <= set(environment.about["packages"])
    assert row == a_row()
    assert broken.reason.startswith("AssertionError: 4 is odd")
    assert "4 is odd" in capsys.readouterr().err
    process.measure("planted", Asked(quick=True), quick)
    assert [type(message) for message in quick.sent] == [Environment, Row]
    nobody = Pipe()
    process.measure("no_such", Asked(), nobody)
    assert "no_such" in nobody.sent[-1].reason


def test_benchmark_runs_in_a_process_of_its_own():
    first, *others = process.found("sharding", Asked(quick=True))
    assert isinstance(first, Environment)
    # The tests have eight devices by a flag that a new process has, too; counting needs none.
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
    found = dict(zip(HEADINGS, row.cells(), strict=True))
    assert found["peer's"] == f"missing: {missing}"
    assert found["ours"] == "2.00 (1.50 to 2.50) s"
    assert found["at least"] == "1"


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
    assert number(value) == text


def test_ends_are_shown_where_they_can_be_told_apart():
    assert figure(Spread(1.0, 0.9999, 1.0001), "s") == "1.00 s"
    assert figure(Spread(1.0, 0.9, 1.2), "s") == "1.00 (0.900 to 1.20) s"
    assert figure(Spread.of(4.0, 0.5).scaled(2), "") == "8.00 (7.00 to 9.00)"
    assert figure(None, "s") == ""


def test_spread_is_of_the_median_and_quartiles():
    assert spread([5.0, 1.0, 2.0, 3.0, 4.0]) == Spread(3.0, 2.0, 4.0)
    assert spread([7.0]) == Spread(7.0, 7.0, 7.0)


def test_readme_names_every_benchmark():
    text = (command.Path(command.benchmarks.__path__[0]) / "README.md").read_text()
    named = set(re.findall(r"`(?:python -m benchmarks )?(\w+)", text))
    assert set(command.questions()) <= named
