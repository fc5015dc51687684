import json

import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c

from sde_jax.training import RunDirectory
from sde_jax.training.metrics_log import MetricsLog


def records(run):
    """The events of all TensorBoard files, in the order in which they were written."""
    for path in sorted(run.logs.iterdir(), key=lambda path: path.stat().st_mtime_ns):
        data = path.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            body = data[12 : 12 + length]
            assert int.from_bytes(data[12 + length : 16 + length], "little") == masked_crc32c(body)
            yield Event.FromString(body)
            data = data[16 + length :]


def test_lines_after_the_step_are_dropped(tmp_path):
    run = RunDirectory.create(tmp_path, {})
    with MetricsLog(run, 0) as log:
        for step in (5, 10, 15):
            log.write(step, {"loss": 0.1 * step})
    with MetricsLog(run, 12) as log:
        log.write(13, {"loss": float("1e-17"), "seconds": 3.0})
    assert run.read_metrics() == [
        {"step": 5, "loss": 0.5},
        {"step": 10, "loss": 1.0},
        {"step": 13, "loss": 1e-17, "seconds": 3.0},
    ]


@pytest.mark.parametrize("rest", ['{"step": 7, "lo', '{"step": 7}', "\x00\x00\x00\n", "[3]\n"])
def test_what_a_kill_leaves_of_a_line_is_dropped(tmp_path, rest):
    run = RunDirectory.create(tmp_path, {})
    run.metrics.write_text('{"step": 5}\n' + rest)
    with MetricsLog(run, 100) as log:
        log.write(6, {"a": 1})
    assert run.metrics.read_text() == '{"step": 5}\n{"step": 6, "a": 1}\n'


def test_a_line_being_written_is_not_read(tmp_path):
    run = RunDirectory.create(tmp_path, {})
    run.metrics.write_text('{"step": 5}\n{"step": 6')
    assert run.read_metrics() == [{"step": 5}]


def test_tensorboard_sees_the_same_and_forgets_what_was_dropped(tmp_path):
    run = RunDirectory.create(tmp_path, {})
    with MetricsLog(run, 0) as log:
        log.write(5, {"loss": 0.5})
        log.write(10, {"loss": 0.25, "rate": 2.0})
    with MetricsLog(run, 7) as log:
        log.write(8, {"loss": 0.125})
    events = [event for event in records(run) if not event.file_version]
    assert [event.step for event in events if event.session_log.status] == [1, 8]
    scalars = [
        (event.step, value.tag, value.simple_value)
        for event in events
        for value in event.summary.value
    ]
    assert scalars == [
        (5, "loss", 0.5),
        (10, "loss", 0.25),
        (10, "rate", 2.0),
        (8, "loss", 0.125),
    ]


def test_a_line_that_cannot_be_written_is_written_later(tmp_path, capsys):
    run = RunDirectory.create(tmp_path, {})
    with MetricsLog(run, 0) as log:
        log.write(1, {"a": 1})
        kept = run.metrics.rename(tmp_path / "kept")
        run.metrics.mkdir()
        log.write(2, {"a": 2})
        log.write(3, {"a": 3})
        said = capsys.readouterr().err
        assert said.startswith(f"{run.metrics} cannot be written, retrying later: ")
        assert said.count("\n") == 1
        run.metrics.rmdir()
        kept.rename(run.metrics)
        log.write(4, {"a": 4})
    assert [json.dumps(line["a"]) for line in run.read_metrics()] == ["1", "2", "3", "4"]
