"""What several tests of training compare with."""

import pytest
from toy_run import run_toy


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A run that was never interrupted: its folder and its result."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, run_toy(folder)
