"""Conditions of examples in files: one mechanism for tables, .npz and .npy."""

import dataclasses

import jax
import numpy as np
import pytest

from sde_jax.data import NumberFile
from sde_jax.data.conditions import VectorRows

RNG = np.random.default_rng(0)
X, Y = RNG.normal(5, 2, (30, 2)), RNG.normal([1e4, -1], [50, 0.1], (30, 2))
ROWS = np.random.default_rng(0).permutation(30)
"""The order of the examples: the first three are held out."""


def csv_file(folder):
    """A table with the conditions between the examples."""
    rows = np.stack([X[:, 0], Y[:, 0], X[:, 1], Y[:, 1]], axis=1)
    (folder / "t.csv").write_text(
        "\n".join(["a,s,b,t", *(",".join(map(repr, map(float, r))) for r in rows)])
    )
    return NumberFile(path=str(folder / "t.csv"), condition_columns=("s", "t"))


def npz_file(folder):
    """Two arrays."""
    np.savez(folder / "two.npz", x=X, theta=Y)
    return NumberFile(path=str(folder / "two.npz"), array="x", condition_array="theta")


def npy_files(folder):
    """Two files."""
    np.save(folder / "x.npy", X)
    np.save(folder / "y.npy", Y)
    return NumberFile(path=str(folder / "x.npy"), condition_path=str(folder / "y.npy"))


def npy_columns(folder):
    """The last columns of one array."""
    np.save(folder / "xy.npy", np.concatenate([X, Y], axis=1))
    return NumberFile(path=str(folder / "xy.npy"), condition_columns=("2", "3"))


FORMS = [csv_file, npz_file, npy_files, npy_columns]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("keep", ["device", "file"])
def test_each_example_has_its_condition(tmp_path, form, keep):
    if form is csv_file:
        pytest.importorskip("pyarrow")
    spec = dataclasses.replace(form(tmp_path), keep=keep).measure()
    train, held_out = ROWS[3:], ROWS[:3]
    np.testing.assert_allclose(spec.measured.vector.centers, Y[train].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(spec.measured.vector.widths, Y[train].std(axis=0), rtol=1e-9)
    source = spec.load()
    assert (source.condition_size, source.classes) == (2, None)
    (batch,) = source.batches(jax.random.key(0), "test", 3)
    np.testing.assert_allclose(source.scaling.to_unit(batch.x), X[held_out], rtol=1e-5)
    np.testing.assert_array_equal(batch.condition, Y[held_out].astype(np.float32))
    seen = next(source.stream(jax.random.key(0), "train", 8))
    for x, y in zip(source.scaling.to_unit(seen.x), np.asarray(seen.condition), strict=True):
        row = np.abs(Y[:, 0] - y[0]).argmin()
        np.testing.assert_allclose(X[row], x, rtol=1e-5)


def test_columns_beside_each_other_stay_in_the_file(tmp_path):
    spec = npy_columns(tmp_path)
    for table in (*spec.tables().values(), *spec.conditions().tables.values()):
        assert isinstance(table.values, np.memmap)
    rows = spec.conditions().rows("test", ROWS[:3])
    assert isinstance(rows, VectorRows) and isinstance(rows.values, np.memmap)


def test_labels_of_a_column(tmp_path):
    np.save(tmp_path / "x.npy", np.concatenate([X, np.arange(30)[:, None] % 4], axis=1))
    spec = NumberFile(path=str(tmp_path / "x.npy"), condition_columns=("2",), condition_labels=True)
    source = spec.measure().load()
    assert (source.condition_size, source.classes) == (None, 4)
    (batch,) = source.batches(jax.random.key(0), "test", 3)
    np.testing.assert_array_equal(batch.label, ROWS[:3] % 4)


def test_conditions_come_from_other_files_by_the_same_names(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "asked.csv").write_text("t,other,s\n1,2,3\n")
    found = csv_file(tmp_path).read_conditions(tmp_path / "asked.csv")
    np.testing.assert_array_equal(found.values, [[3.0, 1.0]])
    np.savez(tmp_path / "asked.npz", x=X, theta=Y[:1])
    np.testing.assert_array_equal(
        npz_file(tmp_path).read_conditions(tmp_path / "asked.npz").values, Y[:1]
    )
    np.save(tmp_path / "asked.npy", Y[:2])
    for form in FORMS:
        found = form(tmp_path).read_conditions(tmp_path / "asked.npy").values
        np.testing.assert_array_equal(found, Y[:2])


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"condition_columns": ("0", "9")}, "has no column '9': it has 0, 1"),
        ({"columns": ("0",), "condition_columns": ("0",)}, "must differ: both have 0"),
        ({"condition_path": "short.npy"}, "for each of 30 examples of .*x.npy: it holds 7"),
        ({"condition_path": "cube.npy"}, r"must hold conditions \[examples, numbers\] of one"),
        ({"condition_path": "x.npy", "test_path": "x.npy"}, "`condition_path` must be None with"),
        ({"condition_labels": True}, "`condition_labels` has no effect without `condition_path`"),
        ({"condition_path": "x.npy", "condition_labels": True}, "hold one column of integers"),
        ({"condition_array": "y"}, "`array` does not apply to"),
    ],
    ids=["unknown", "both", "short", "cube", "test", "no labels", "labels", "array"],
)
def test_conditions_that_do_not_fit_the_examples(tmp_path, monkeypatch, fields, complaint):
    monkeypatch.chdir(tmp_path)
    for name, values in {"x": X, "short": X[:7], "cube": np.zeros((30, 2, 2))}.items():
        np.save(f"{name}.npy", values)
    with pytest.raises(ValueError, match=complaint) as caught:
        NumberFile(path="x.npy", **fields).measure()
    assert "\n" not in str(caught.value)
