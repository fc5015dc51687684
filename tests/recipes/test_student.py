"""Students: training from a teacher's run, sampling in a few jumps, and refusals."""

import dataclasses

import jax
import numpy as np
import pytest
from tiny import tiny, untrained

from sde_jax.command_line import edit, likelihood, sample, train
from sde_jax.editing.options import EditOptions
from sde_jax.recipes import SamplerSettings
from sde_jax.runs import find, open_generative, open_run, train_experiment


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the runs of a teacher, of others, and of students."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("digits", "colored", "classifier"):
        untrained(name, folder / name)
    train_experiment(find(tiny("student")), folder / "student", resume=False)
    return folder


def test_run_starts_from_the_teacher_and_keeps_it(folder):
    teacher = open_run(folder / "digits").params
    state = open_generative(folder / "student").state
    jax.tree.map(np.testing.assert_array_equal, state.opt_state["teacher"], teacher)
    moved = jax.tree.map(lambda a, b: float(abs(a - b).max()), state.params, teacher)
    assert 0 < max(jax.tree.leaves(moved)) < 4 * 3.1e-3, "four steps of Adam from the teacher"


@pytest.mark.slow("test_run_starts_from_the_teacher_and_keeps_it")
@pytest.mark.parametrize("name", ["student", "untaught"])
def test_run_resumes_bitwise(folder, name):
    named = find(tiny(name))
    half = dataclasses.replace(named.experiment.training, steps=2)
    shorter = dataclasses.replace(named.experiment, training=half)
    whole, parts = folder / f"{name}_whole", folder / f"{name}_parts"
    result = train_experiment(named, whole, resume=False)
    train_experiment(dataclasses.replace(named, experiment=shorter), parts, resume=False)
    train_experiment(named, parts, resume=True)
    states = [open_generative(path).state for path in (whole, parts)]
    jax.tree.map(np.testing.assert_array_equal, *states)
    assert result.step == 4 and 0 < result.held_out_loss < 1


@pytest.mark.parametrize("steps", [1, 3])
def test_evaluations_are_the_steps(folder, steps):
    found = sample.main([str(folder / "student"), "--steps", str(steps), "--count", "3"])
    assert found["nfe"] == steps and not found["failed"]


def test_what_a_student_has_not_is_refused_with_what_to_use(folder):
    run, teacher = folder / "student", folder / "digits"
    with pytest.raises(ValueError, match=f"has no likelihood. Use its teacher's run: {teacher}"):
        likelihood.main([str(run)])
    with pytest.raises(ValueError, match=f"of the student .*: {teacher}"):
        edit.main(EditOptions(run=run, task="class"))
    with pytest.raises(
        ValueError, match=f"must be consistency for a student: got unipc.*{teacher}"
    ):
        sample.main([str(run), "--sampler", "unipc"])
    with pytest.raises(ValueError, match="must not be consistency for a score model"):
        sample.main([str(teacher), "--sampler", "consistency"])
    with pytest.raises(ValueError, match="`sampling` must have the sampler consistency"):
        dataclasses.replace(find(tiny("student")).experiment, sampling=SamplerSettings())


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ("colored", "must be trained on the student's data"),
        ("classifier", "no run of a score model: .* the classifier"),
        ("nowhere", "no run of a score model: .*nowhere"),
    ],
)
def test_unsuitable_teachers_are_refused(folder, tmp_path, teacher, message):
    options = ["--teacher", str(folder / teacher), "--workdir", str(tmp_path / "run")]
    with pytest.raises(ValueError, match=message):
        train.main([tiny("student"), *options])
    assert not (tmp_path / "run").exists()


def test_teacher_of_another_shape_is_refused(folder, tmp_path):
    named = find(tiny("student"))
    network = dataclasses.replace(named.experiment.network, classes=10)
    experiment = dataclasses.replace(
        named.experiment, network=network, teacher=str(folder / "digits")
    )
    with pytest.raises(ValueError, match="network of the student's shape"):
        train_experiment(
            dataclasses.replace(named, experiment=experiment), tmp_path / "run", resume=False
        )
