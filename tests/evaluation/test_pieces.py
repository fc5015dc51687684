import numpy as np
import pytest

from sde_jax.evaluation.pieces import load_or_compute


def maker(made, *, total=10, size=4, killed_at=None):
    """Rows 0, 1, ... and their squares, in pieces; notes which it makes."""

    def make(start):
        for first in range(start, total, size):
            if first == killed_at:
                raise KeyboardInterrupt
            rows = np.arange(first, min(first + size, total))
            made.extend(rows.tolist())
            yield {"row": rows, "square": rows**2}

    return make


def check(columns):
    np.testing.assert_array_equal(columns["row"], np.arange(10))
    np.testing.assert_array_equal(columns["square"], np.arange(10) ** 2)


@pytest.mark.parametrize("size", [4, 3], ids=["same-pieces", "others"])
def test_a_kill_costs_only_the_piece_in_the_making(tmp_path, size):
    made = []
    with pytest.raises(KeyboardInterrupt):
        load_or_compute(tmp_path, maker(made, killed_at=8))
    assert made == list(range(8))
    check(load_or_compute(tmp_path, maker(made, size=size)))
    assert made == list(range(10))
    check(load_or_compute(tmp_path, maker(made)))
    assert made == list(range(10))


def test_a_damaged_piece_is_made_again(tmp_path):
    made = []
    check(load_or_compute(tmp_path, maker(made)))
    second = tmp_path / "00000004.npz"
    second.write_bytes(second.read_bytes()[:100])
    del made[:]
    check(load_or_compute(tmp_path, maker(made)))
    assert made == list(range(4, 10))
