import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_short_soak():
    process = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--minutes", "0.2", "--kills", "2"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert json.loads(process.stdout)["passed"] is True
