import dataclasses
import itertools
import resource
import shutil
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.training import (
    CheckpointError,
    Checkpoints,
    batch_sharding,
    data_mesh,
    replicate,
    replicated,
)
from sde_jax.training.checkpoint import saved_steps
from sde_jax.training.learner import TrainState
from sde_jax.training.orbax_noise import hide_abandoned_reads, reason_of
from sde_jax.training.start import Progress


def state_of(step, mesh=None):
    """A state with the kinds of arrays that occur, their values given by the step."""
    params = {
        "w": np.arange(6000, dtype=np.float32).reshape(60, 100) * (step + 1),
        "b": np.full((7,), step, jnp.bfloat16),
    }
    state = TrainState(np.int32(step), params, {}, (np.int32(2), (), {"mu": params["w"] / 3}))
    return replicate(state, mesh or data_mesh())


def like(state, sharding=None):
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding or x.sharding), state
    )


def assert_same(actual, expected):
    jax.tree.map(np.testing.assert_array_equal, actual, expected)
    assert jax.tree.structure(actual) == jax.tree.structure(expected)


def write(folder, steps, **options):
    with Checkpoints(folder, **options) as checkpoints:
        for step, notes in steps.items():
            checkpoints.save(step, state_of(step), notes)
        checkpoints.wait()
        return checkpoints.steps()


def test_what_is_saved_is_restored_on_other_devices(tmp_path):
    write(tmp_path, {3: {"text": "ä", "numbers": [0.1, 1e-30], "none": None}})
    for mesh in (data_mesh(), data_mesh(jax.devices()[:1]), data_mesh(jax.devices()[2:5])):
        with Checkpoints(tmp_path) as checkpoints:
            restored = checkpoints.restore_newest(like(state_of(3, mesh)))
        assert restored.step == 3
        assert restored.notes["numbers"] == [0.1, 1e-30]
        assert_same(restored.state, state_of(3))
        assert all(
            leaf.sharding.is_equivalent_to(replicated(mesh), leaf.ndim)
            for leaf in jax.tree.leaves(restored.state)
        )


def test_step_zero_is_a_step_like_any_other(tmp_path):
    assert write(tmp_path, {0: {"seconds": 0.0}}) == [0]
    with Checkpoints(tmp_path) as checkpoints:
        restored = checkpoints.restore_newest(like(state_of(0)))
    assert restored.step == 0
    assert_same(restored.state, state_of(0))


def test_sharded_arrays_can_be_saved_and_restored_whole(tmp_path):
    x = jax.device_put(jnp.arange(64.0), batch_sharding(data_mesh()))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"x": x}, {})
        checkpoints.wait()
        target = {"x": jax.ShapeDtypeStruct((64,), jnp.float32, sharding=replicated(data_mesh()))}
        assert_same(checkpoints.restore(1, target).state, {"x": np.arange(64.0)})


def test_arrays_may_be_overwritten_while_they_are_saved(tmp_path):
    overwrite = jax.jit(lambda x: x * 0 - 1, donate_argnums=0)
    state = replicate({"x": jnp.arange(3e6)}, data_mesh())
    target = like(state)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, {})
        jax.block_until_ready(overwrite(state["x"]))
        checkpoints.wait()
        assert_same(checkpoints.restore(1, target).state, {"x": np.arange(3e6, dtype=np.float32)})


def test_the_newest_are_kept_and_the_best(tmp_path):
    evaluated = {step: {"held_out_loss": loss, "held_out_step": at} for step, loss, at in [
        (1, 0.5, 1), (2, 0.2, 2), (3, 0.9, 3), (4, 0.1, 3), (5, 0.3, 5), (6, 0.4, 6)
    ]}  # fmt: skip
    assert write(tmp_path / "newest", evaluated, keep=2) == [5, 6]
    assert write(tmp_path / "best", evaluated, keep=2, keep_best=True) == [2, 5, 6]
    assert Checkpoints(tmp_path / "best").best_step() == 2
    assert Checkpoints(tmp_path / "none").best_step() is None
    with Checkpoints(tmp_path / "best") as checkpoints:
        assert_same(checkpoints.restore_best(like(state_of(0))).state, state_of(2))
        shutil.rmtree(tmp_path / "best" / "2" / "state")
        assert checkpoints.restore_best(like(state_of(0))).step == 6
    with Checkpoints(tmp_path / "none") as checkpoints:
        assert checkpoints.restore_best(like(state_of(0))) is None


def damages(path):
    """The ways to damage a file: how it is called, and what it then holds (None: it is gone)."""
    whole = path.read_bytes()
    yield "gone", None
    yield "empty", b""
    yield "halved", whole[: len(whole) // 2]
    for place in (0, len(whole) // 3, len(whole) // 2) if whole else ():
        yield f"byte {place}", whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :]


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 11])
def test_whatever_is_damaged_is_passed_over_or_harmless(tmp_path, capsys, every):
    """Every damage of every file, or every eleventh: each in another file and of another kind."""
    good = tmp_path / "good"
    write(good, {10: {"text": "old"}, 20: {"text": "new"}}, keep=2)
    files = [path for path in sorted((good / "20").rglob("*")) if path.is_file()]
    assert len(files) > 8
    outcomes = []
    folder = tmp_path / "damaged"
    with Checkpoints(folder) as checkpoints:
        cases = [(path, *damage) for path in files for damage in damages(path)]
        for file, how, content in cases[::every]:
            shutil.copytree(good, folder)
            damaged = folder / file.relative_to(good)
            damaged.unlink() if content is None else damaged.write_bytes(content)
            restored = checkpoints.restore_newest(like(state_of(0)))
            said = capsys.readouterr().err
            assert_same(restored.state, state_of(restored.step))
            assert restored.notes["text"] == {10: "old", 20: "new"}[restored.step]
            if restored.step == 10:
                assert said.startswith("the checkpoint of step 20 is unreadable: "), said
                assert said.endswith("; using the checkpoint of step 10 instead\n"), said
            assert said.count("\n") == (restored.step == 10), said
            outcomes.append((file.parent.name, how, restored.step))
            shutil.rmtree(folder)
    passed_over = [outcome for outcome in outcomes if outcome[2] == 10]
    assert len(passed_over) > 20 / every


def test_a_missing_folder_within_a_checkpoint(tmp_path):
    write(tmp_path, {10: {}, 20: {}}, keep=2)
    shutil.rmtree(tmp_path / "20" / "state")
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.restore_newest(like(state_of(0))).step == 10


def test_arrays_that_were_changed_consistently_are_noticed(tmp_path):
    write(tmp_path, {10: {}, 20: {}}, keep=2)
    shutil.rmtree(tmp_path / "20" / "state")
    shutil.copytree(tmp_path / "10" / "state", tmp_path / "20" / "state")
    with (
        Checkpoints(tmp_path) as checkpoints,
        pytest.raises(CheckpointError, match="its arrays are not those that were saved"),
    ):
        checkpoints.restore(20, like(state_of(0)))


def test_nothing_readable_is_an_error_and_nothing_at_all_is_none(tmp_path):
    with Checkpoints(tmp_path / "none") as checkpoints:
        assert checkpoints.restore_newest(like(state_of(0))) is None
    write(tmp_path, {10: {}, 20: {}}, keep=2)
    for step in ("10", "20"):
        shutil.rmtree(tmp_path / step / "state")
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(CheckpointError) as error:
        checkpoints.restore_newest(like(state_of(0)))
    message = str(error.value)
    assert message.startswith("the checkpoint of step 20 is unreadable: ")
    assert message.endswith(f"; there is no other one in {tmp_path}")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError('NOT_FOUND: Error opening "zarr" driver'), "a part of it is missing"),
        (FileNotFoundError("File /x/notes/metadata not found."), "a part of it is missing"),
        (ValueError('DATA_LOSS: Error opening "cast" driver'), "a part of it is damaged"),
        (RecursionError("maximum recursion depth exceeded"), "a part of it is damaged"),
        (AttributeError("'NoneType' object has no attribute 'get'"), "a part of it is damaged"),
        (ValueError("User-provided restore item and metadata tree structures do not match:"),
         "its arrays are not those of the `network` in config.json"),
        (OSError(13, "Permission denied", "/x"), "Permission denied"),
        (ValueError("UNKNOWN: [x: Read-only file system]"), "Read-only file system"),
    ],
    ids=range(8),
)  # fmt: skip
def test_a_reason_is_in_words(error, words):
    wrapped = RuntimeError("orbax")
    wrapped.__cause__ = error
    assert reason_of(wrapped) == words


def test_an_abandoned_read_says_nothing(monkeypatch):
    said = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: said.append(error))
    hide_abandoned_reads.__wrapped__()
    sys.excepthook(RuntimeError, RuntimeError("Event loop is closed"), None)
    assert said == []
    sys.excepthook(RuntimeError, RuntimeError("x"), None)
    assert len(said) == 1


def test_folders_that_are_no_steps_are_passed_over(tmp_path):
    for name in ("3", "20", "007", "²", "٣", "x", "1.5", "-1"):
        (tmp_path / name).mkdir()
    (tmp_path / "99").write_text("a file")
    assert saved_steps(tmp_path) == [3, 20]


@pytest.mark.parametrize("notes", [{}, {"step": "x"}, {"step": True}, {"step": 2.5}])
def test_notes_of_other_types_do_not_continue(notes):
    good = dataclasses.asdict(Progress(step=3, held_out_loss=0.5))
    assert Progress.from_notes(good) == Progress(step=3, held_out_loss=0.5)
    with pytest.raises(CheckpointError, match="must have `step`, of type"):
        Progress.from_notes(({**good, **notes}) if notes else {})


def test_a_state_of_another_shape_is_not_restored(tmp_path):
    write(tmp_path, {10: {}})
    target = like(state_of(0))
    for shape in ((60, 101), (6000,), (59, 100)):
        target.params["w"] = jax.ShapeDtypeStruct(
            shape, jnp.float32, sharding=replicated(data_mesh())
        )
        with Checkpoints(tmp_path) as checkpoints, pytest.raises(CheckpointError):
            checkpoints.restore(10, target)


def test_continuing_clears_what_kills_leave_and_moves_the_unreadable_aside(tmp_path):
    folder, aside = tmp_path / "checkpoints", tmp_path / "unreadable"
    write(folder, {10: {}, 20: {}}, keep=2)
    (folder / "30.orbax-checkpoint-tmp").mkdir()
    (folder / "30.orbax-checkpoint-tmp" / "data").write_text("half")
    for _ in range(2):
        with Checkpoints(folder, keep=2) as checkpoints:
            checkpoints.prepare_to_continue(10, aside)
            assert [path.name for path in folder.iterdir()] == ["10"]
            checkpoints.save(20, state_of(20), {})
    assert [path.name for path in aside.iterdir()] == ["20"]


def test_a_killed_deletion_leaves_no_half_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "rmtree", lambda *args, **options: None)
    assert write(tmp_path, {10: {}, 20: {}}) == [20]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["10.orbax-checkpoint-tmp", "20"]


def test_a_failed_save_is_reported_and_the_next_one_works(tmp_path, capsys):
    with Checkpoints(tmp_path, keep=3) as checkpoints:
        checkpoints.save(1, state_of(1), {})
        checkpoints.save(2, state_of(2), {"not JSON": object()})
        with pytest.raises(CheckpointError, match="of step 2 could not be saved: .* of step 1$"):
            checkpoints.wait()
        assert capsys.readouterr().err == ""
        checkpoints.save(2, state_of(2), {"not JSON": object()})
        checkpoints.save(3, state_of(3), {})
        said = capsys.readouterr().err
        assert said.count("\n") == said.count("of step 2 could not be saved: ") == 1
        checkpoints.wait()
        assert checkpoints.steps() == [1, 3]
        assert_same(checkpoints.restore(1, like(state_of(1))).state, state_of(1))


@pytest.fixture
def full_disk():
    """A function that lets no file grow beyond 50 kB, or (False) ends that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(full):
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000 if full else soft, hard))

    yield limit
    limit(False)


def test_a_full_disk_costs_only_what_was_to_be_written_on_it(tmp_path, full_disk, key, capfd):
    state = {"x": jax.random.normal(key, (100_000,))}
    with Checkpoints(tmp_path, keep=3) as checkpoints:
        checkpoints.save(1, state, {})
        checkpoints.wait()
        full_disk(True)
        checkpoints.save(2, state, {})
        checkpoints.save(3, state, {})
        with pytest.raises(CheckpointError, match="of step 3 could not be saved: .* of step 1$"):
            checkpoints.wait()
        full_disk(False)
        checkpoints.save(4, state, {})
        checkpoints.wait()
        assert checkpoints.steps() == [1, 4]
        for step in (1, 4):
            assert_same(checkpoints.restore(step, like(state)).state, state)
    said = capfd.readouterr().err
    assert said.count("\n") == said.count("of step 2 could not be saved: ") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "4"]


def test_saves_follow_each_other_without_loss(tmp_path):
    with Checkpoints(tmp_path, keep=50) as checkpoints:
        for step in range(10):
            checkpoints.save(step, state_of(step), {"step": step})
        checkpoints.wait()
        assert checkpoints.steps() == list(range(10))
        for step in itertools.islice(checkpoints.steps(), 0, None, 3):
            assert_same(checkpoints.restore(step, like(state_of(0))).state, state_of(step))
