"""Tests of ``sample --out DIR``: shards, their index, and what a kill leaves."""

import hashlib
import json

import numpy as np
import pytest
from in_process import contents, refusal, run_command, succeed

from sde_jax.data import DataNotFoundError, Shards
from sde_jax.data.shards import ShardedImages
from sde_jax.interop.statistics_file import read_reference
from sde_jax.runs import shards

DRAWN = ("--count", 28, "--batch-size", 8, "--steps", 4)


def index_of(folder):
    """The lines of the index."""
    return [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def folder(tiny_run, tmp_path_factory):
    """A folder of 28 samples of digits, and the results of the command."""
    folder = tmp_path_factory.mktemp("shards") / "digits"
    return folder, succeed("sample", tiny_run, *DRAWN, "--out", folder)


def test_shards_hold_the_samples_of_a_file(folder, tiny_run, tmp_path):
    folder, results = folder
    whole = succeed("sample", tiny_run, *DRAWN, "--out", tmp_path / "whole.npz")
    with np.load(whole["out"]) as file:
        levels = file["samples"] * 16
    lines = index_of(folder)
    stored = [np.load(folder / line["file"]) for line in lines]
    assert {array.dtype for array in stored} == {np.dtype(np.uint8)}
    np.testing.assert_array_equal(np.concatenate(stored), levels)
    assert [line["first"] for line in lines] == [0, 8, 16, 24]
    assert [line["length"] for line in lines] == [8, 8, 8, 4]
    for line in lines:
        assert line["sha256"] == hashlib.sha256((folder / line["file"]).read_bytes()).hexdigest()
    assert {**results, **{name: whole[name] for name in ("seconds", "out", "pictures")}} == whole
    assert results["pictures"] == [str(folder / "samples.png")]


def test_samples_of_another_type_are_others(folder, tiny_run, tmp_path):
    folder, _ = folder
    identity = json.loads((folder / "identity.json").read_text())
    assert "compute_dtype" not in identity["sampling"]
    low = (*DRAWN, "--compute-dtype", "bfloat16")
    assert "holds other samples, whose sampling is" in refusal(
        "sample", tiny_run, *low, "--out", folder
    )
    succeed("sample", tiny_run, *low, "--out", tmp_path / "low")
    identity = json.loads((tmp_path / "low" / "identity.json").read_text())
    assert identity["sampling"]["compute_dtype"] == "bfloat16"


@pytest.mark.parametrize("left", ["whole", "unfinished line", "damaged shard", "missing shard"])
def test_a_killed_command_ends_as_one_that_is_not(folder, tiny_run, tmp_path, monkeypatch, left):
    other, writes, whole_file = tmp_path / "killed", [], shards.whole_file

    def killed(path):
        writes.append(path.name)
        if len(writes) == 4:
            raise KeyboardInterrupt
        return whole_file(path)

    monkeypatch.setattr(shards, "whole_file", killed)
    assert run_command("sample", tiny_run, *DRAWN, "--out", other).code == 130
    drawn = [path.name for path in sorted(other.glob("*.npy"))]
    assert drawn == ["0000000000.npy", "0000000008.npy"]
    redrawn = 2
    if left == "unfinished line":
        with (other / "index.jsonl").open("a") as file:
            file.write('{"file": "0000000016.npy", "first": 16,')
    elif left != "whole":
        redrawn = 3
        content = (other / drawn[1]).read_bytes()
        (other / drawn[1]).unlink()
        if left == "damaged shard":
            (other / drawn[1]).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    del writes[:]
    writes.extend(["the killed"] * 4)
    succeed("sample", tiny_run, *DRAWN, "--out", other)
    assert len([name for name in writes if name.endswith(".npy")]) == redrawn
    complete = {path.relative_to(folder[0]): held for path, held in contents(folder[0]).items()}
    assert {path.relative_to(other): held for path, held in contents(other).items()} == complete


def test_nothing_is_drawn_twice(folder, tiny_run, monkeypatch):
    before = contents(folder[0])
    monkeypatch.setattr(shards, "write", None)
    again = succeed("sample", tiny_run, *DRAWN, "--out", folder[0])
    assert {**again, "seconds": 0} == {**folder[1], "seconds": 0}
    assert contents(folder[0]) == before


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--count", 29], "holds other samples, whose count is 28, not 29: choose another folder"),
        (["--seed", 1], "holds other samples, whose seed is 0, not 1"),
        (["--steps", 5], "holds other samples, whose sampling is "),
        (["--trajectory"], "--trajectory is for an .npz file"),
    ],
)
def test_other_samples_are_refused(folder, tiny_run, options, complaint):
    before = contents(folder[0])
    assert complaint in refusal("sample", tiny_run, *DRAWN, "--out", folder[0], *options)
    assert contents(folder[0]) == before


def test_failed_samples_are_named_and_left_out(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "is_valid", lambda part: np.arange(len(part.x)) > 0)
    outcome = run_command("sample", tiny_run, *DRAWN, "--out", tmp_path / "some")
    assert outcome.code == 1
    assert outcome.results["failed"] == [0, 8, 16, 24]
    assert [line["failed"] for line in index_of(tmp_path / "some")] == [[0], [8], [16], [24]]
    assert Shards(path=str(tmp_path / "some")).load().sizes == {"train": 24}


def test_shards_of_points_are_no_images(tmp_path):
    shards.prepare(tmp_path / "points", {"count": 0, "levels": None})
    with pytest.raises(DataNotFoundError, match="holds samples that are no images"):
        Shards(path=str(tmp_path / "points")).load()


def test_images_of_shards_are_those_of_an_array(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (9, 2, 3, 1), np.uint8)
    parts = [shards.Shard(f"{first}.npy", first, 4, "", 1.0, []) for first in (0, 4)]
    parts.append(shards.Shard("8.npy", 8, 1, "", 1.0, [8]))
    parts[0] = parts[0]._replace(failed=[1, 2])
    for part in parts:
        np.save(tmp_path / part.file, images[part.first : part.first + part.length])
    stored = ShardedImages(tmp_path, parts)
    good = images[[0, 3, 4, 5, 6, 7]]
    assert (len(stored), stored.shape) == (6, (2, 3, 1))
    np.testing.assert_array_equal(stored[np.array([5, 0, 1, 1])], good[[5, 0, 1, 1]])


def test_statistics_of_shards(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    statistics = ("data", "statistics", folder[0], "--features", "coordinates")
    found = succeed(*statistics)
    assert (found["data"], found["shape"], found["count"]) == ("Shards", "8x8x1", 28)
    stored = [np.load(folder[0] / line["file"]) for line in index_of(folder[0])]
    unit = np.concatenate(stored).reshape(28, 64) / 16
    gaussian = read_reference(found["cached"]).gaussian
    np.testing.assert_allclose(gaussian.mean, unit.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(gaussian.covariance, np.cov(unit.T), atol=1e-6)
    assert "--grey does not apply" in refusal(*statistics, "--grey")


def test_statistics_of_unfinished_shards_are_refused(folder, tmp_path):
    part = tmp_path / "part"
    part.mkdir()
    for name in ("identity.json", "index.jsonl", "0000000000.npy"):
        (part / name).write_bytes((folder[0] / name).read_bytes())
    line = refusal("data", "statistics", part, "--features", "coordinates")
    assert f"{part} holds 8 of 28 samples: the `sample` that wrote them draws the others" in line
