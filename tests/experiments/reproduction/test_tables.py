"""Tables between markers."""

import pathlib
import re

import pytest

from experiments.reproduction.result import Result, computer, revision
from experiments.reproduction.tables import BLOCK, read_results, with_tables
from sde_jax.training.errors import RunError

EXPERIMENTS = pathlib.Path(__file__).parents[3] / "experiments"


def found(name, findings=(), **results):
    return Result(
        name=name,
        results={"findings": list(findings), **results},
        minutes=3.04,
        computer="2 CPU cores, jax 0.0",
        commit="abc1234",
    )


def finding(metric, value, stderr, features="classifier", of="run"):
    return {"metric": metric, "value": value, "stderr": stderr, "features": features, "of": of}


def test_a_row_holds_the_first_network_s_numbers_and_only_the_run_s():
    first = finding("frechet_distance", 12.3, 0.46)
    others = [
        finding("frechet_distance", 1.0, 0.1, of="held-out data"),
        first,
        finding("frechet_distance", 2.0, 0.1, features="coordinates"),
        finding("bits_per_dim", 1.904, 0.017, features=None),
    ]
    page = "a\n<!-- reproduced: digits_vp mnist_vp -->\nold\n<!-- end -->\nb\n"
    known = {"digits_vp": found("digits_vp", others, samples={"nfe": 1051.2})}
    expected = """\
a
<!-- reproduced: digits_vp mnist_vp -->

| experiment | Bits per dimension | Fréchet distance | evaluations | minutes of training | \
computer | commit |
| --- | --- | --- | --- | --- | --- | --- |
| `digits_vp` | 1.904 ± 0.017 | 12.30 ± 0.46 | 1,051 | 3.0 | 2 CPU cores, jax 0.0 | abc1234 |
| `mnist_vp` | not yet run |  |  |  |  |  |

<!-- end -->
b
"""
    assert with_tables(page, known) == expected
    assert with_tables(expected, known) == expected


def test_all_findings_of_an_evaluation_have_a_cell():
    findings = [
        finding("bits_per_dim", 1.904, 0.017, features=None),
        finding("frechet_distance", 12.3, 0.46) | {"expected": 3.311},
        finding("frechet_distance", 1.0, 0.1, of="held-out data") | {"expected": None},
        finding("closer", 0.549, 0.018, features="coordinates") | {"expected": 0.5},
    ]
    page = "<!-- findings: digits_vp -->\n<!-- end -->\n<!-- findings: mnist_vp -->\n<!-- end -->\n"
    expected = """\
<!-- findings: digits_vp -->

|  | classifier: samples | classifier: held-out data | coordinates: samples |
| --- | --- | --- | --- |
| Fréchet distance | 12.30 ± 0.46 (3.31) | 1.00 ± 0.10 |  |
| Closer to training data |  |  | 0.549 ± 0.018 (0.5) |
| Bits per dimension | 1.904 ± 0.017 |  |  |

<!-- end -->
<!-- findings: mnist_vp -->

`mnist_vp`: not yet run.

<!-- end -->
"""
    known = {"digits_vp": found("digits_vp", findings)}
    assert with_tables(page, known) == expected
    assert with_tables(expected, known) == expected


def test_a_report_is_a_row_for_each_group_of_its_numbers():
    report = {"model": {"w2": 0.00038, "w1": 0.02}, "controls": {"blob": {"w2": 1.107, "w1": 0.0}}}
    distances = {"told": {"value": 0.0051, "stderr": 0.0003}}
    page = "<!-- report: ring -->\nold\n<!-- end -->\n"
    expected = """\
<!-- report: ring -->

|  | w2 | w1 |
| --- | --- | --- |
| model | 0.00038 | 0.02 |
| controls: blob | 1.1 | 0 |

<!-- end -->
"""
    assert with_tables(page, {"ring": found("ring", report=report)}) == expected
    page = "<!-- report: digits_denoiser_prior -->\n<!-- end -->\n"
    known = found("digits_denoiser_prior", report={"distance": distances, "count": 512})
    assert "| distance: told | 0.00510 ± 0.00030 |" in with_tables(page, {known.name: known})


def test_the_page_of_this_project_holds_what_was_found():
    """No number in a table is typed by hand: all are rendered again from the results."""
    text = (EXPERIMENTS / "README.md").read_text(encoding="utf-8")
    assert len(BLOCK.findall(text)) >= 5
    assert with_tables(text, read_results(EXPERIMENTS)) == text


def test_the_pictures_of_the_page_are_there():
    text = (EXPERIMENTS / "README.md").read_text(encoding="utf-8")
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert len(pictures) > 20
    assert [path for path in pictures if not (EXPERIMENTS / path).is_file()] == []


def test_results_come_back_and_damage_is_named(tmp_path):
    here = found("ring")
    here.write(tmp_path / "results")
    assert read_results(tmp_path) == {"ring": here}
    (tmp_path / "results" / "ring.json").write_text("{}")
    with pytest.raises(RunError, match=r"ring\.json is damaged: remove it, and reproduce it again"):
        read_results(tmp_path)


def test_what_it_was_found_on_is_told():
    gpu = {"device": "NVIDIA H100", "devices": 2, "packages": {"jax": "0.12"}}
    assert computer(gpu) == "2 x NVIDIA H100, jax 0.12"
    assert "CPU cores, jax 0.12" in computer({**gpu, "device": "cpu"})
    git = {"revision": "0123456789abcdef", "dirty": True}
    assert revision({"git": git}) == "0123456+"
    assert revision({"git": None}) == "unknown"
