"""Records of evaluations that are compared: what they lack is named."""

import json

import pytest
from in_process import refusal, succeed
from malformed import EVALUATION, FINDING

from sde_jax.evaluation.comparison import draw_values


@pytest.fixture
def runs(tmp_path):
    """Two runs with an evaluation each, and the record of the first."""
    folders = [tmp_path / name for name in ("$a_", "b^\udce9")]
    for folder in folders:
        record = folder / "evaluations" / "one" / "evaluation.json"
        record.parent.mkdir(parents=True)
        record.write_text(json.dumps(EVALUATION))
        (folder / "config.json").write_text("{}")
    return folders, folders[0] / "evaluations" / "one" / "evaluation.json"


def test_runs_of_any_name_are_compared(runs, tmp_path):
    results = succeed("compare", *runs[0], "--out", tmp_path / "out" / "deep")
    assert results["rows"] == 1
    table = (tmp_path / "out" / "deep" / "comparison.md").read_text()
    assert f"{tmp_path}/$a_" in table
    assert "b^\\udce9" in table


def test_names_in_a_figure_are_no_formulas(tmp_path):
    draw_values({"x": [FINDING, FINDING]}, ["$\\alpha", "b^\udce9$"], tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"finished": 5}, "`finished` must be of type str: got 5"),
        ({"findings": None}, "`findings` must be of type list: got None"),
        ({"findings": [3]}, "it lacks `findings.0.metric`"),
        ({"findings": [{**FINDING, "value": "x"}]}, "`findings.0.value` must be of type float"),
        ({"findings": [{**FINDING, "counts": ["x"]}]}, "`findings.0.counts` must be of type list"),
        ({"findings": [{**FINDING, "of": "x"}]}, "`findings.0.of` must be one of run, held-out"),
        ({"samples": {}}, "it lacks `samples.nfe`"),
        ({"sampling": {"sampler": 3}}, "`sampling.sampler` must be of type str: got 3"),
        ({"step": 2.5}, "`step` must be of type int: got 2.5"),
        ({"reference": []}, "`reference` must be of type dict"),
    ],
)
def test_a_damaged_record_is_named(runs, tmp_path, change, complaint):
    folders, record = runs
    record.write_text(json.dumps({**EVALUATION, **change}))
    line = refusal("compare", *folders, "--out", tmp_path / "out")
    assert f"{record} is damaged: {complaint}" in line
    assert "makes a new one" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["", "null", "[]", "[" * 10**5])
def test_a_record_that_is_none_is_named(runs, text):
    folders, record = runs
    record.write_text(text)
    assert f"{record} is damaged: " in refusal("compare", *folders)


def test_records_without_findings_are_not_compared(runs):
    folders, _ = runs
    for folder in folders:
        record = folder / "evaluations" / "one" / "evaluation.json"
        record.write_text(json.dumps({**EVALUATION, "findings": []}))
    assert "have no findings to compare" in refusal("compare", *folders)
