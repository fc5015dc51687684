import json
import subprocess
import sys
from pathlib import Path

import pytest

from sde_jax.atomic import write_json, write_whole
from sde_jax.training import (
    ConfigChangedError,
    NotARunError,
    RunDirectory,
    RunError,
    RunExistsError,
)
from sde_jax.training.versions import environment, git_revision

CONFIG = {
    "name": "ring",
    "training": {"steps": 10, "betas": (0.9, 0.999)},
    "data": {"data_dir": "a", "extra": {}},
}


def test_a_new_run_has_its_configuration_and_versions(tmp_path):
    run = RunDirectory.create(tmp_path / "deep" / "run", CONFIG)
    assert run.config == {**CONFIG, "training": {"steps": 10, "betas": [0.9, 0.999]}}
    assert json.loads((run.path / "config.json").read_text()) == run.config
    (versions,) = json.loads((run.path / "versions.json").read_text())
    assert versions["python"] == "{}.{}.{}".format(*sys.version_info)
    assert set(versions["packages"]) == {
        "sde_jax", "jax", "jaxlib", "flax", "optax", "diffrax", "orbax-checkpoint", "numpy"
    }  # fmt: skip
    assert versions["devices"] == 8
    assert RunDirectory.open(run.path).config == run.config
    assert run.read_metrics() == []


def test_nothing_is_written_over(tmp_path):
    run = RunDirectory.create(tmp_path / "run", CONFIG)
    with pytest.raises(RunExistsError) as error:
        RunDirectory.create(run.path, CONFIG)
    assert str(error.value) == f"{run.path} holds a run already: --resume continues it"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("precious")
    (tmp_path / "file").write_text("precious")
    for start in (RunDirectory.create, RunDirectory.resume):
        for path in (tmp_path / "other", tmp_path / "file"):
            with pytest.raises(RunExistsError, match="is not empty and holds no run: choose"):
                start(path, CONFIG)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.tex"]


def test_resume_starts_what_is_not_there_and_continues_what_is(tmp_path):
    path = tmp_path / "run"
    assert RunDirectory.resume(path, CONFIG).config == RunDirectory.resume(path, CONFIG).config
    assert len(json.loads((path / "versions.json").read_text())) == 1


@pytest.mark.parametrize("left", [[], ["config.json.tmp"], ["config.json", "versions.json.tmp"]])
def test_a_kill_while_a_run_is_made_leaves_it_resumable(tmp_path, left):
    RunDirectory.create(tmp_path / "whole", CONFIG)
    path = tmp_path / "run"
    path.mkdir()
    for name in left:
        source = tmp_path / "whole" / name.removesuffix(".tmp")
        content = source.read_text()
        (path / name).write_text(content[:20] if name.endswith(".tmp") else content)
    run = RunDirectory.resume(path, CONFIG)
    assert run.config == RunDirectory.open(tmp_path / "whole").config
    assert {entry.name for entry in path.iterdir()} == {"config.json", "versions.json", "lock"}


def test_changed_fields_are_named(tmp_path):
    RunDirectory.create(tmp_path, CONFIG)
    changed = {
        "name": "moons",
        "training": {"steps": 20, "betas": (0.9, 0.99)},
        "data": {"data_dir": "b", "extra": {"flip": True}},
    }
    changeable = {"training.steps", "data.data_dir"}
    with pytest.raises(ConfigChangedError) as error:
        RunDirectory.resume(tmp_path, changed, changeable=changeable)
    assert str(error.value) == (
        f"--resume cannot change the configuration of the run in {tmp_path}: "
        '`name` from "ring" to "moons", `training.betas` from [0.9, 0.999] to [0.9, 0.99], '
        "`data.extra` from {} to nothing, `data.extra.flip` from nothing to true; "
        "start a new run in another folder instead"
    )
    assert RunDirectory.open(tmp_path).config["name"] == "ring"


def test_fields_that_may_change_are_written(tmp_path):
    RunDirectory.create(tmp_path, CONFIG)
    changed = {**CONFIG, "training": {**CONFIG["training"], "steps": 20}}
    run = RunDirectory.resume(tmp_path, changed, changeable={"training.steps"})
    assert run.config["training"]["steps"] == 20
    assert RunDirectory.open(tmp_path).config == run.config
    with pytest.raises(ConfigChangedError, match="`training.steps` from 20 to 10"):
        RunDirectory.resume(tmp_path, CONFIG)


def test_another_environment_is_added_to_the_versions(tmp_path):
    RunDirectory.create(tmp_path, CONFIG)
    file = tmp_path / "versions.json"
    (present,) = json.loads(file.read_text())
    file.write_text(json.dumps([{**present, "python": "3.9.1"}]))
    for _ in range(2):
        RunDirectory.resume(tmp_path, CONFIG)
    assert [entry["python"] for entry in json.loads(file.read_text())] == [
        "3.9.1",
        present["python"],
    ]


def test_what_is_no_run_cannot_be_opened(tmp_path):
    with pytest.raises(NotARunError, match=r"/none holds no run: it has no config\.json$"):
        RunDirectory.open(tmp_path / "none")
    (tmp_path / "config.json").write_text('{"name": "ri')
    for start in (RunDirectory.open, lambda path: RunDirectory.resume(path, CONFIG)):
        with pytest.raises(NotARunError, match=r"config\.json is damaged: it is not JSON: "):
            start(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(NotARunError, match=r"config\.json is damaged: it holds no JSON object$"):
        RunDirectory.open(tmp_path)


@pytest.mark.parametrize("name", ["checkpoints", "pictures", "unreadable"])
def test_a_file_in_the_place_of_a_folder_is_named(tmp_path, name):
    RunDirectory.create(tmp_path, CONFIG)
    (tmp_path / name).write_text("x")
    for start in (RunDirectory.open, lambda path: RunDirectory.resume(path, CONFIG)):
        with pytest.raises(NotARunError, match=f"/{name} must be a folder: move that file away$"):
            start(tmp_path)


@pytest.mark.parametrize("text", ["{}", "5", "null", "[", ""])
def test_versions_that_are_no_list_are_named_before_anything_is_changed(tmp_path, text):
    RunDirectory.create(tmp_path, CONFIG)
    (tmp_path / "versions.json").write_text(text)
    before = (tmp_path / "config.json").read_text()
    changed = {**CONFIG, "name": "moons"}
    with pytest.raises(ValueError, match=r"versions\.json is damaged: "):
        RunDirectory.resume(tmp_path, changed, changeable={"name"})
    assert (tmp_path / "config.json").read_text() == before


@pytest.mark.parametrize(
    "line",
    [
        *("null", "text", "[3]", "{}", '{"step": "x"}', '{"step": 2.5}', '{"step": Infinity}'),
        *('{"step": 3, "loss": "x"}', '{"step": 3, "loss": NaN}', '{"step": true}', "[" * 10**5),
        '{"step": 3, "loss": 1' + "0" * 400 + "}",
    ],
)
def test_a_line_that_no_training_wrote_is_named_before_anything_is_changed(tmp_path, line):
    run = RunDirectory.create(tmp_path, CONFIG)
    good = '{"step": 2}\n'
    before = (tmp_path / "config.json").read_text()
    changed = {**CONFIG, "name": "moons"}
    for text, place in ((f"{good}{line}\n{good}", 2), (f"{line}\n", 1)):
        run.metrics.write_text(text)
        with pytest.raises(RunError, match=f"metrics.jsonl has a damaged line {place}: it must"):
            RunDirectory.resume(tmp_path, changed, changeable={"name"})
        assert (tmp_path / "config.json").read_text() == before
        assert run.read_metrics() == [{"step": 2}] * (text.count(good))


@pytest.mark.parametrize("rest", ['{"step": 4, "lo', "\0\0\0\n", "\0\0\n\0\0\n", ""])
def test_what_a_kill_leaves_of_the_metrics_is_no_damage(tmp_path, rest):
    run = RunDirectory.create(tmp_path, CONFIG)
    run.metrics.write_text('{"step": 2}\n' + rest)
    RunDirectory.resume(tmp_path, CONFIG)
    assert run.read_metrics() == [{"step": 2}]


def test_a_path_that_is_not_utf_8_is_refused(tmp_path):
    path = tmp_path / "r\udce9n"
    for start in (RunDirectory.create, RunDirectory.resume):
        with pytest.raises(RunError, match="the path of a run must be in UTF-8: got "):
            start(path, CONFIG)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def full(self, *arguments, **options):
        raise OSError(28, "No space left on device")

    RunDirectory.create(tmp_path / "there", CONFIG)
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(RunError) as error:
        RunDirectory.create(tmp_path / "deep" / "new", CONFIG)
    assert str(error.value) == f"{tmp_path / 'deep/new'} cannot be written: No space left on device"
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    RunDirectory.resume(tmp_path / "there", CONFIG)


def test_a_write_that_fails_keeps_the_old_file(tmp_path):
    write_json(tmp_path / "file.json", {"a": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "file.json", {"a": object()})
    assert json.loads((tmp_path / "file.json").read_text()) == {"a": 1}


def test_the_revision_is_that_of_the_checkout_that_tracks_the_code(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    git("init", "-q")
    assert git_revision(package) is None
    git("add", ".")
    git("commit", "-q", "-m", "one")
    clean = {"revision": git("rev-parse", "HEAD"), "dirty": False}
    assert git_revision(package) == clean
    (tmp_path / "notes.txt").write_text("no code")
    assert git_revision(package) == clean
    (tmp_path / "module.py").write_text("code")
    assert git_revision(package) == {**clean, "dirty": True}
    assert git_revision(Path("/")) is None


def test_the_environment_is_json():
    assert json.loads(json.dumps(environment())) == environment()


def test_folders_of_a_write_that_fails_are_deleted(tmp_path):
    def fail(path):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    (tmp_path / "there").mkdir()
    for path in (tmp_path / "there" / "file", tmp_path / "a" / "b" / "file"):
        with pytest.raises(OSError, match="No space left") as error:
            write_whole(path, fail)
        assert error.value.filename == str(path)
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]
    write_whole(tmp_path / "a" / "b" / "file", lambda path: path.write_text("x"))
    assert (tmp_path / "a" / "b" / "file").read_text() == "x"
