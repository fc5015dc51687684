import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow(
    "tests/training/test_loop.py::test_a_signal_saves_and_the_rest_follows_as_if_it_had_not_come"
)
def test_a_short_soak():
    process = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--minutes", "0.1", "--kills", "1"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert json.loads(process.stdout)["passed"] is True
