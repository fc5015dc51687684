"""Malformed input ends in one line that helps, leaves nothing, and takes no time or memory.

What is accepted stops where it would train, sample or measure.
"""

import collections
import itertools
import random

import malformed
import pytest


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The folder of good files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield malformed.write_good(tmp_path_factory.mktemp("good"))


def run_all(cases, good, folder):
    """Checks every case, and counts how they ended."""
    wrong, ends = [], collections.Counter()
    for case in cases:
        try:
            ends[malformed.check(case, good, folder)] += 1
        except Exception as error:
            wrong.append(f"{case.name}: {type(error).__name__}: {str(error):.500}")
    assert not wrong, f"{len(wrong)} wrong of {sum(ends.values())}:\n" + "\n".join(wrong)
    return ends


def test_a_few_malformed_inputs(good, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = random.Random(1)
    cases = itertools.chain(
        itertools.islice(malformed.value_cases(rng, good, 1), 4),
        itertools.islice(malformed.text_cases(rng, good, 1), 3),
        malformed.line_cases(rng, good, 1),
        malformed.option_cases(
            rng, good, 1, malformed.COMMANDS[1:4], lambda *_: ["--count", "--seed", "--batch-size"]
        ),
    )
    ends = run_all(cases, good, tmp_path / "files")
    assert ends["refused"] >= 6


@pytest.mark.slow("test_a_few_malformed_inputs")
def test_hundreds_of_malformed_inputs(good, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = random.Random(0)
    cases = itertools.chain(
        malformed.value_cases(rng, good, 30),
        malformed.text_cases(rng, good, 8),
        malformed.line_cases(rng, good, len(malformed.LINES)),
        malformed.place_cases(rng, good, 12),
        malformed.option_cases(rng, good, 12),
    )
    ends = run_all(cases, good, tmp_path / "files")
    assert sum(ends.values()) >= 300
    assert ends["refused"] >= 200
