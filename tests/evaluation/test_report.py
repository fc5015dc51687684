"""Tests of the page: whole, escaped, and in need of nothing."""

import html
import re

import numpy as np
import PIL.Image
import pytest

from sde_jax.evaluation.page import Cell, page, picture, table
from sde_jax.evaluation.wording import with_error

HOSTILE = '<script src="https://evil.example/x.js">&"'


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


def test_text_is_escaped_everywhere(tmp_path):
    PIL.Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "p.png")
    body = [
        table([HOSTILE, "a"], [[HOSTILE, Cell(HOSTILE, HOSTILE)]]),
        picture(tmp_path / "p.png", HOSTILE, HOSTILE),
    ]
    text = page(HOSTILE, body)
    assert "<script" not in text
    assert text.count(html.escape(HOSTILE)) == 7
    assert re.findall(r'(?:src|href)="([^"]{4})', text) == ["data"]
