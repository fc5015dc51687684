"""Tests of runs whose data moved, and of paths that a run stores."""

import dataclasses

import numpy as np
import PIL.Image
import pytest
from in_process import refusal, run_command
from tiny import tiny, write_run

import sde_jax
from sde_jax.command_line.opening import place_in
from sde_jax.data import DataNotFoundError, Digits, Folder, NumberFile, Storage, TfdsImages
from sde_jax.recipes import Named
from sde_jax.runs.catalogue import find
from sde_jax.runs.data_place import DataPlace, naming_option
from sde_jax.runs.training import summary, with_absolute_paths


def named(data):
    """A tiny score model of these data."""
    experiment = find(tiny("digits")).experiment
    return Named("pictures", dataclasses.replace(experiment, data=data))


def write_pictures(folder, count=3, size=(8, 8)):
    folder.mkdir()
    for i in range(count):
        PIL.Image.new("RGB", size, (40 * i, 0, 0)).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def folder_run(tmp_path_factory):
    """A run on pictures, none of which is held out, and where they are now."""
    path = tmp_path_factory.mktemp("moved")
    data = Folder(path=str(write_pictures(path / "before")), held_out=0)
    run = write_run(named(data), path / "run")
    return run, (path / "before").rename(path / "now")


FOUND = {
    "likelihood": ([], "--split must be one of train: got test"),
    "evaluate": ([], "the data have no test split to measure"),
    "anomalies": ([], "none of the run's data is held out"),
    "edit": (["--task", "deblur", "--demo"], "`split` must be one of train: got 'test'"),
}
"""Refusals of commands that have read the data."""


@pytest.mark.parametrize("command", FOUND)
def test_moved_data_are_found_at_their_place(folder_run, command):
    run, now = folder_run
    options, found = FOUND[command]
    before = sorted(run.rglob("*"))
    line = refusal(command, run, *options)
    assert f"`path` {now.parent}/before does not exist" in line
    assert line.endswith("--data.path says where they are.")
    outcome = run_command(command, run, *options, "--data.path", now)
    assert outcome.code == 2 and found in outcome.messages[-1]
    assert sorted(run.rglob("*")) == before


def test_other_places_than_the_data_have_are_refused(folder_run):
    run, now = folder_run
    line = refusal("likelihood", run, f"--data.data_dir={now}")
    assert f"--data.data-dir does not apply to {run}: its data are Folder." in line


@pytest.mark.parametrize(
    "args",
    [["--data.path", "a"], ["--data.path=a", "--count", "3"], ["--count", "3", "--data.path", "a"]],
)
def test_the_place_is_known_before_the_options_are(args):
    assert place_in(["run", *args, "--flag"]) == DataPlace(path="a")
    assert place_in(["run", "--data.data-dir", "b"]) == DataPlace(data_dir="b")
    assert place_in(["run", "--data.path"]) == place_in(["run"]) == DataPlace()


def test_moved_data_are_found_from_python(folder_run):
    run, now = folder_run
    opened = sde_jax.open_run(run, data_path=str(now))
    assert opened.experiment.data.path == str(now)
    with pytest.raises(DataNotFoundError, match="before does not exist"):
        sde_jax.open_run(run)


def test_a_place_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "now")
    placed = DataPlace(path="now").of(Folder(path="before"), tmp_path / "run")
    assert placed.path == f"{tmp_path}/now"
    assert DataPlace().of(Folder(path="before"), tmp_path / "run") == Folder(path="before")


def test_a_run_stores_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("pictures", "sets", "cache"):
        (tmp_path / name).mkdir()
    folder = Folder(path="~/pictures", storage=Storage(folder="cache"))
    stored = with_absolute_paths(named(folder), tmp_path / "run").experiment.data
    assert stored.path == f"{tmp_path}/pictures" and stored.storage.folder == f"{tmp_path}/cache"
    prepared = TfdsImages(name="mnist", data_dir="sets")
    assert (
        with_absolute_paths(named(prepared), tmp_path / "run").experiment.data.data_dir
        == f"{tmp_path}/sets"
    )
    elsewhere = TfdsImages(name="mnist", data_dir="none")
    assert with_absolute_paths(named(elsewhere), tmp_path / "run").experiment.data == elsewhere


def test_every_kind_of_data_names_its_option(tmp_path):
    (tmp_path / "empty").mkdir()
    for data, complaint in {
        Folder(path=str(tmp_path / "empty")): "is empty: put pictures there, such as PNG",
    }.items():
        with pytest.raises(DataNotFoundError, match=complaint) as caught, naming_option(data):
            data.load()
        assert str(caught.value).endswith(". --data.path says where they are.")
    with (
        pytest.raises(DataNotFoundError, match=r"gone\. --data.data-dir says"),
        naming_option(TfdsImages()),
    ):
        raise DataNotFoundError("gone.")
    with pytest.raises(DataNotFoundError, match="^gone$"), naming_option(Digits()):
        raise DataNotFoundError("gone")


def test_arrays_that_moved_out_of_their_run_are_found(tmp_path):
    for name in ("x", "y"):
        np.save(tmp_path / f"{name}.npy", np.arange(40.0).reshape(20, 2))
    data = NumberFile(path=str(tmp_path / "x.npy"), condition_path=str(tmp_path / "y.npy"))
    place = DataPlace(path=str(tmp_path / "z.npy"), condition_path=str(tmp_path / "w.npy"))
    (tmp_path / "x.npy").rename(tmp_path / "z.npy")
    both = "--data.path or --data.condition-path says"
    with pytest.raises(DataNotFoundError, match=both), naming_option(data):
        data.load()
    (tmp_path / "y.npy").rename(tmp_path / "w.npy")
    source = place.of(data, tmp_path).load()
    assert source.sizes == {"train": 18, "test": 2} and source.condition_size == 2


def test_pictures_that_are_not_square_are_padded_and_of_many_sizes_refused(tmp_path):
    wide = write_pictures(tmp_path / "wide", size=(9, 6))
    usual = find("quickstart").experiment
    experiment = dataclasses.replace(
        usual,
        data=Folder(path=str(wide), held_out=0),
        network=dataclasses.replace(usual.network, attention_resolutions=()),
    )
    line = "the network pads 6 x 9 to 6 x 10 inside, and crops its output"
    assert summary(experiment)["padding"] == [line]
    PIL.Image.new("RGB", (7, 7)).save(wide / "other.png")
    outcome = run_command(
        "train", tiny("folder"), "--data.path", wide, "--workdir", tmp_path / "run"
    )
    assert outcome.code == 2 and "--data.image-size states it." in outcome.messages[-1]
    assert not (tmp_path / "run").exists()
