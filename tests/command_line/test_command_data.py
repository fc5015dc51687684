"""Tests of ``data show``, and of runs on your own pictures."""

import dataclasses
import json

import numpy as np
import PIL.Image
import pytest
from in_process import RING, refusal, run_command, succeed

from experiments import cifar10
from experiments.cifar10 import folder
from sde_jax.runs.training import prepare


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Black, white and grey pictures of two classes and two sizes, and a broken one."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "pictures"
    for name, level, size in [
        ("ant/0.png", 0, (9, 6)),
        ("ant/1.png", 255, (8, 8)),
        ("bee/2.png", 51, (8, 8)),
        ("bee/3.jpg", 51, (8, 8)),
        ("bee/4.webp", 51, (8, 8)),
    ]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", size, (level,) * 3).save(folder / name, lossless=True)
    (folder / "ant" / "5.png").write_text("none")
    return folder


def test_a_folder_is_described(pictures):
    outcome = run_command("data", "show", pictures)
    assert outcome.code == 0
    found = outcome.results
    assert found["images"] == {"pictures": 5}
    assert found["broken"] == [f"{pictures}/ant/5.png: it is no picture of a known format"]
    assert found["stored_sizes"] == {
        "count": 2,
        "smallest": [6, 9],
        "largest": [8, 8],
        "most_often": [8, 8],
    }
    assert found["shape"] == [64, 64, 3]
    assert found["levels"] == [0, 255]
    levels = np.array([0, 255, 51, 51, 51])
    assert found["mean"] == pytest.approx([levels.mean()] * 3, abs=0.01)
    assert found["deviation"] == pytest.approx([levels.std()] * 3, abs=0.01)
    names = ["ant", "bee"]
    assert found["classes"] == {"count": 2, "fewest": 2, "most": 3, "names": names}
    # From black to white it is 2 in each of the coordinates.
    assert found["sigma_max"] == pytest.approx(2 * (64 * 64 * 3) ** 0.5, abs=0.01)
    assert found["sigma_max_images"] == 5
    said = outcome.stdout.splitlines()[:-1]
    assert said[0] == "images: 5 pictures; 1 broken"
    assert said[1] == "stored sizes: 2, 6x9 to 8x8, most often 8x8"
    assert said[4].startswith("sigma_max for VE: 221.7 in [-1, 1], 110.8 in [0, 1], the largest ")
    assert said[4].endswith(" distance between two of all images")
    assert said[5] == "2 classes: ant, bee"
    assert said[6] == f"broken: {pictures}/ant/5.png: it is no picture of a known format"
    drawn = np.asarray(PIL.Image.open(found["out"]))
    assert found["out"] == "runs/data/pictures.png"
    assert {0, 51} < set(np.unique(drawn).tolist())


def test_size_and_grey_are_asked_for(pictures):
    (pictures / "ant" / "5.png").unlink()
    options = ["--image-size", 4, "--grey", "--out", "small"]
    found = succeed("data", "show", pictures, *options)
    assert found["shape"] == [4, 4, 1] and found["broken"] == []
    assert found["sigma_max"] == pytest.approx(8)
    assert found["out"] == "small.png"
    assert "small.png exists already" in refusal("data", "show", pictures, *options)


def test_splits_and_what_is_left_out_are_said(pictures):
    (pictures / "notes.txt").write_text("mine")
    for name in ("ant", "bee"):
        (pictures / "train").mkdir(exist_ok=True)
        (pictures / name).rename(pictures / "train" / name)
    (pictures / "val").mkdir()
    PIL.Image.new("RGB", (8, 8)).save(pictures / "val" / "6.tif")
    outcome = run_command("data", "show", pictures, "--out", "x")
    assert outcome.results["images"] == {"train": 5, "test": 1}
    remarks = [
        "ignored: 1 of 8 files, which do not have the suffix of a picture: notes.txt",
        "splits by subfolder: train 6, test 1",
        "no classes: val/6.tif lies beside the folders ant, bee: move it into one of them, or away",
    ]
    assert outcome.results["remarks"] == remarks
    assert outcome.stdout.splitlines()[5:8] == remarks


@pytest.mark.slow("test_a_folder_is_described")
def test_a_prepared_set_is_described_by_its_own_splits(shared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data_dir = shared / "data" / "tfds"
    options = ["--data-dir", data_dir, "--image-size", 8]
    found = succeed("data", "show", "oxford_flowers102", *options)
    assert found["images"] == {"train": 1020, "test": 6149, "validation": 1020}
    assert found["classes"] == {"count": 102, "fewest": 40, "most": 258, "names": None}
    assert found["shape"] == [8, 8, 3]


def test_what_cannot_be_shown_is_one_line(tmp_path):
    assert "data needs `show` or `statistics`, and a SOURCE" in refusal("data")
    assert "data needs `show` or `statistics`, and a SOURCE" in refusal("data", "sow", tmp_path)
    assert f"{tmp_path} is empty" in refusal("data", "show", tmp_path)
    line = refusal("data", "show", "nothing", "--data-dir", tmp_path)
    assert "nothing is no folder or zip, and as a prepared set: " in line
    assert "`tfds build nothing --file_format=array_record" in line


def test_your_own_pictures_are_data_of_an_experiment(pictures, capsys):
    experiment = folder()
    data = dataclasses.replace(experiment.data, path=str(pictures), image_size=16)
    source = prepare(dataclasses.replace(experiment, data=data)).source
    assert source.shape == (16, 16, 3) and source.sizes == {"train": 4, "test": 1}
    assert capsys.readouterr().err.count("5.png") == 1


@pytest.mark.slow("test_your_own_pictures_are_data_of_an_experiment")
def test_your_own_pictures_train_and_may_move(pictures, tmp_path):
    small = ["--network.channels", 8, "--network.multipliers", 1, "--network.blocks-per-level", 1]
    small += ["--network.attention-resolutions"]
    options = [*RING[4:], "--training.batch-size", 8, *small, "--data.image-size", 8]
    run = ["--workdir", tmp_path / "run", *options]
    experiment = f"{cifar10.__file__}:folder"
    outcome = run_command("train", experiment, "--data.path", pictures, *run)
    assert outcome.code == 0, outcome.stderr
    assert outcome.results["step"] == 4
    assert sum("5.png" in line for line in outcome.messages) == 1
    stored = json.loads((tmp_path / "run" / "config.json").read_text())["experiment"]["data"]
    assert (stored["type"], stored["image_size"], stored["fit"]) == (
        "sde_jax.data.Folder",
        8,
        "crop",
    )
    assert stored["path"] == str(pictures)
    moved = pictures.rename(tmp_path / "moved")
    found = succeed("likelihood", tmp_path / "run", "--data.path", moved, "--tolerance", 0.1)
    assert found["count"] == 1
    succeed(
        "train",
        f"{cifar10.__file__}:folder",
        "--data.path",
        moved,
        *run,
        "--resume",
        "--training.steps",
        5,
    )


def test_a_folder_must_be_named(tmp_path):
    line = refusal("train", "folder", "--workdir", tmp_path / "run")
    assert "`path` must be stated: the folder or the zip with the pictures" in line
    assert "--data.path says where they are." in line
    assert list(tmp_path.iterdir()) == []
