"""The protocols of bits, beside each other."""

import dataclasses
import math

import pytest

from experiments.questions import digits_protocols


@pytest.mark.slow("tests/recipes/test_protocols.py::test_protocols_that_do_not_fit_are_refused")
def test_a_model_of_dequantized_data_has_all_protocols_but_one(reproduced, tmp_path):
    usual = digits_protocols()
    study = dataclasses.replace(usual, runs=(("VP", "digits_vp"),), count=3, steps=8)
    results = study.measure(reproduced, tmp_path)
    found = results["models"]["VP"]
    expected = {"uniform", "uniform, K = 20", "score-bound", "ddpm-bound"}
    assert set(found) == expected
    assert all(math.isfinite(of["value"]) and of["stderr"] > 0 for of in found.values())
    head, _, *rows = study.table(results)
    assert "VP" in head and len(rows) == 8
    assert all(row.split("|")[2].strip() == "" for row in rows[2:6])
