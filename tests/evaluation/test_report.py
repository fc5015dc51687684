"""Tests of the pages: complete, escaped, and self-contained."""

import html
import re

import numpy as np
import PIL.Image
import pytest

from sde_jax.evaluation.comparison import Row
from sde_jax.evaluation.report import write_page, write_report
from sde_jax.evaluation.wording import with_error

HOSTILE = '<script src="https://evil.example/x.js">&"'
ESCAPED = "&lt;script src=&#34;https://evil.example/x.js&#34;&gt;&amp;&#34;"


@pytest.mark.parametrize(
    ("value", "stderr", "expected"),
    [
        (0.06441, 0.0082, "0.0644 ± 0.0082"),
        (1.97276, 0.0159, "1.973 ± 0.016"),
        (123.456, 12.3, "123 ± 12"),
        (3.2e-9, 1.6e-9, "(3.2 ± 1.6)e-9"),
        (12.3456, 1e-7, "12.3456 ± 1.0e-07"),
        (2.5, None, "2.5"),
        (2.5, 0.0, "2.5"),
        (None, None, "none"),
    ],
)
def test_a_number_has_two_digits_of_its_error(value, stderr, expected):
    assert with_error(value, stderr) == expected


@pytest.fixture
def figure(tmp_path):
    PIL.Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "p.png")
    return tmp_path / "p.png"


def check_self_contained(text):
    assert "<script" not in text
    assert {"data"} == set(re.findall(r'(?:src|href)="([^"]{4})', text))


def test_text_of_a_comparison_is_escaped(tmp_path, figure):
    rows = [Row(metric="precision", features=HOSTILE, cells=((None, None), ({}, HOSTILE)))]
    runs = [(HOSTILE, HOSTILE), ("b", "b")]
    page = tmp_path / "page.html"
    write_page(page, "comparison.html", title=HOSTILE, runs=runs, rows=rows, figure=figure)
    text = page.read_text()
    check_self_contained(text)
    # Title, heading, alternative text of the figure, run and its note, row, and problem.
    assert text.count(ESCAPED) == 7
    assert html.unescape(ESCAPED) == HOSTILE


def record_of_points(**changed):
    """Returns the record of a run without a sampler or a classifier."""
    finding = {
        "metric": "kernel_distance",
        "features": "coordinates",
        "of": "run",
        "value": 0.5,
        "stderr": None,
        "counts": [1234, None],
        "expected": 0.0,
    }
    return {
        "experiment": HOSTILE,
        "run": HOSTILE,
        "step": 12345,
        "weights": "ab",
        "seed": 0,
        "sampling": None,
        "samples": {"count": 1234, "nfe": 1.0, "failed": [7]},
        "reference": {"coordinates": {"published": HOSTILE}},
        "missing": {"classifier": HOSTILE},
        "findings": [finding],
        "pictures": [{"file": "p.png", "title": HOSTILE, "caption": HOSTILE}],
        "versions": {"git": None, "devices": 1, "device": HOSTILE},
        "seconds": {"samples": 1.5},
        "finished": "today",
    } | changed


def test_a_report_states_what_is_missing_and_is_escaped(tmp_path, figure):
    page = tmp_path / "report.html"
    write_report(record_of_points(), figure.parent, page)
    text = page.read_text()
    check_self_contained(text)
    assert f"<p>Not measured: {ESCAPED}</p>" in text
    assert f"published statistics ({ESCAPED})" in text
    assert (
        "0.5<small>0 expected for equal distributions; 1,234 and unknown examples</small>" in text
    )
    lead = " ".join(re.search(r'<p class="lead">(.*?)</p>', text, re.DOTALL).group(1).split())
    assert lead == (
        "Training step 12,345. 1,234 samples with 1.0 network evaluations each, seed 0. 1 sample "
        "failed."
    )


def test_a_report_shows_code_and_sampler(tmp_path, figure):
    changed = {
        "sampling": {"sampler": "unipc"},
        "samples": {"count": 2, "nfe": 20.0, "failed": []},
        "versions": {"git": {"revision": "abc", "dirty": True}, "devices": 8, "device": "cpu"},
    }
    page = tmp_path / "report.html"
    write_report(record_of_points(**changed), figure.parent, page)
    text = " ".join(page.read_text().split())
    assert "2 samples by the sampler “unipc” with 20.0 network evaluations each" in text
    assert "No samples failed." in text
    assert "abc, with changes" in text
