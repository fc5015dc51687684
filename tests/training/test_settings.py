import pytest
from toy_run import TRAINING, ToySource, changed, run_toy

from sde_jax.training import data_mesh


def test_what_does_not_fit_data_or_devices_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`batch_size` must be a multiple of the 8 devices: got"):
        run_toy(tmp_path, batch_size=12)
    source = ToySource()
    source.sizes = {"train": 64}
    with pytest.raises(ValueError, match="`eval_every` must be 0 for data without held-out"):
        run_toy(tmp_path, source=source)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("batch_size", 0),
        ("log_every", 0),
        ("checkpoint_every", -1),
        ("keep_checkpoints", 0),
        ("eval_every", -1),
        ("eval_examples", 0),
        ("steps_per_call", -1),
        ("seed", -1),
    ],
)
def test_errors_of_the_settings(field, value):
    with pytest.raises(ValueError) as error:
        changed(**{field: value})
    assert str(error.value).startswith(f"`{field}` must ")
    assert str(error.value).endswith(f": got {field}={value}.")


def test_the_best_needs_evaluations():
    with pytest.raises(ValueError, match="`keep_best` must be off without evaluations"):
        changed(keep_best=True, eval_every=0)


def test_automatic_steps_per_call_is_one_on_cpu():
    assert TRAINING.resolved_steps_per_call(data_mesh()) == 1
    assert changed(steps_per_call=7).resolved_steps_per_call(data_mesh()) == 7
