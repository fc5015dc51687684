"""Pictures of samples in the training loop."""

import json

import jax
import PIL.Image
import pytest
from test_metrics_log import records
from toy_run import ToySource, assert_bitwise, lines, run_toy

from sde_jax.training import RunDirectory


class Brush:
    """Draws a picture of 3x2 pixels in a colour that is the step; remembers what it saw."""

    def __init__(self):
        self.drawn = []

    def __call__(self, state, path):
        step = int(state.step)
        self.drawn.append((step, float(jax.tree.leaves(state.ema_params)[0].ravel()[0])))
        PIL.Image.new("RGB", (3, 2), (step, 0, 0)).save(path)


def shown(folder):
    """Step, size and red of the pictures in TensorBoard's log, as the PNG says it and as it is."""
    for event in records(RunDirectory.open(folder)):
        for value in event.summary.value:
            if value.HasField("image"):
                image = value.image
                assert value.tag == "samples"
                path = folder / "pictures" / f"samples-{event.step}.png"
                assert image.encoded_image_string == path.read_bytes()
                red = PIL.Image.open(path).getpixel((0, 0))[0]
                yield event.step, (image.width, image.height), red


def test_pictures_are_drawn_and_change_nothing(tmp_path, whole):
    folder, expected = whole
    brush = Brush()
    assert_bitwise(run_toy(tmp_path, draw=brush, sample_every=15), expected)
    assert lines(tmp_path) == lines(folder)
    assert [step for step, _ in brush.drawn] == [15, 30, 40]
    last = float(jax.tree.leaves(expected.state.ema_params)[0].ravel()[0])
    assert brush.drawn[-1][1] == last
    names = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert names == {f"samples-{step}.png" for step in (15, 30, 40)}
    assert list(shown(tmp_path)) == [(step, (3, 2), step) for step in (15, 30, 40)]


@pytest.mark.slow("test_pictures_are_drawn_and_change_nothing")
def test_after_a_crash_pictures_and_end_are_the_same(tmp_path, whole):
    """Checkpoints are of steps 6, 12 and 18, and so are pictures; it crashes at step 20."""
    folder, expected = whole

    def crash(index):
        if index == 20:
            raise ConnectionError

    brush = Brush()
    with pytest.raises(ConnectionError):
        run_toy(tmp_path, source=ToySource(on_batch=crash), draw=brush, sample_every=6)
    (tmp_path / "checkpoints" / "18").rename(tmp_path / "lost")
    assert_bitwise(run_toy(tmp_path, draw=brush, sample_every=6), expected)
    assert lines(tmp_path) == lines(folder)
    steps = [step for step, _ in brush.drawn]
    assert steps == [6, 12, 18, 18, 24, 30, 36, 40]
    assert brush.drawn[2] == brush.drawn[3]
    assert len({step for step, *_ in shown(tmp_path)}) == 7


@pytest.mark.slow("test_pictures_are_drawn_and_change_nothing")
def test_several_steps_in_a_dispatch_are_split_alike_with_pictures_between(tmp_path):
    options = {"steps_per_call": 2, "steps": 10}
    without = run_toy(tmp_path / "without", **options)
    with_pictures = run_toy(tmp_path / "with", draw=Brush(), sample_every=4, **options)
    assert_bitwise(with_pictures, without)


def test_a_picture_that_cannot_be_written_costs_only_itself(tmp_path, whole, capsys):
    RunDirectory.create(tmp_path, {})
    for step in (20, 40):
        (tmp_path / "pictures" / f"samples-{step}.png").mkdir(parents=True)
    assert_bitwise(run_toy(tmp_path, draw=Brush(), sample_every=20), whole[1])
    failures = capsys.readouterr().err.splitlines()
    assert [line.partition(" cannot")[0] for line in failures] == [
        str(tmp_path / "pictures" / f"samples-{step}.png") for step in (20, 40)
    ]


def test_pictures_that_nothing_draws_are_refused(tmp_path):
    with pytest.raises(ValueError, match="`sample_every` must be 0 if `train` gets no `draw`"):
        run_toy(tmp_path, sample_every=10)
    assert not (tmp_path / "checkpoints").exists()


def test_without_a_rate_a_line_says_none(tmp_path):
    """The only dispatch of a piece compiles, and is not measured."""
    run_toy(tmp_path, steps=4)
    run_toy(tmp_path, steps=5)
    log = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    rates = [line.get("images_per_second") for line in log if "loss" in line]
    assert rates[0] > 0
    assert rates[1:] == [None]
