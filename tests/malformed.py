"""Malformed input of every kind, made by mutation of good files and options, from a seed."""

import contextlib
import copy
import dataclasses
import json
import re
import resource
import shutil
import signal
from typing import NamedTuple

import jax
import numpy as np
import PIL.Image
import pytest
from in_process import contents, run_command
from tiny import tiny, write_run

from sde_jax.interop.checkpoint import AdamMoments, PublishedState
from sde_jax.interop.published_model import PublishedModel
from sde_jax.interop.score_sde import save_checkpoint
from sde_jax.runs import generation, measurement, training
from sde_jax.runs.catalogue import find
from sde_jax.training.metrics_log import MetricsLog
from sde_jax.training.run_directory import RunDirectory
from sde_jax.training.start import Progress

CPU_SECONDS, SECONDS, BYTES = 20, 300, 4 * 2**30
"""Limits of a case: of processor and wall time, and of memory beyond that of the process."""

VALUES = [
    *(None, True, False, 5, -1, 0, 2.5, 10**6, 2**31, 10**9, 10**15, 10**20, 10**400, 1e308),
    *(float("nan"), float("inf"), "", "x", "\udce9", "a\0b", [], {}, [1], [[1]], ["x"], {"a": 1}),
]
"""Values that take the place of one in a JSON file."""

OPTION_VALUES = [
    *("", "x", "-1", "0", "1.5", "nan", "inf", "-inf", "1e400", str(10**15), "9" * 30, "9" * 5000),
    *("\udce9", "no/such/file", "[]", "a\nb", "True"),
]
"""Values of options."""


class Case(NamedTuple):
    """A change of the good files, and a command that meets it."""

    name: str
    change: object
    """A function of the folder of the files."""
    command: list
    """Arguments; the folder stands for ``{}`` in them."""
    named: tuple[str, ...]
    """Words of which a refusal must contain one, in any case and with any dashes."""


class Reached(BaseException):
    """The command was about to train, to sample or to measure: its input was accepted."""


def write_good(folder):
    """Writes a run with all of its files, a model, samples and pictures."""
    run = write_run(
        find(tiny("digits")), folder / "run", notes=dataclasses.asdict(Progress(step=0))
    )
    with MetricsLog(RunDirectory.open(run), 0) as log:
        for step in (2, 4, 6):
            log.write(step, {"loss": 1.0 / step, "seconds": float(step)})
    evaluation = run / "evaluations" / "one" / "evaluation.json"
    evaluation.parent.mkdir(parents=True)
    evaluation.write_text(json.dumps(EVALUATION))
    model = PublishedModel(image_size=8, nf=4, ch_mult=(1,), attn_resolutions=(), num_res_blocks=1)
    (folder / "model.json").write_text(model.to_json())
    shapes = jax.eval_shape(lambda key: model.score_model.init(key, (8, 8, 3)), jax.random.key(0))
    params = jax.tree.map(lambda shape: np.ones(shape.shape, np.float32), shapes)
    state = PublishedState(3, params, params, AdamMoments(3, params, params))
    save_checkpoint(folder / "weights.pth", model, state)
    write_run(find(tiny("classifier")), folder / "classifier")
    np.savez(folder / "samples.npz", samples=np.full((3, 8, 8, 1), 0.5, np.float32))
    for name in ("a/0.png", "a/1.png", "b/2.png"):
        path = folder / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("L", (8, 8), len(name)).save(path)
    labels = [["a/0.png", 0], ["a/1.png", 0], ["b/2.png", 1]]
    (folder / "pictures" / "dataset.json").write_text(json.dumps({"labels": labels}))
    return folder


FINDING = {
    **{"metric": "frechet_distance", "features": "coordinates", "of": "run", "value": 1.0},
    **{"stderr": 0.1, "counts": [64, 64], "expected": None},
}
EVALUATION = {
    **{"run": "run", "experiment": "digits", "step": 0, "weights": "0", "seed": 0, "count": 64},
    **{"sampling": {"sampler": "unipc", "steps": 2}, "likelihood_count": 8, "likelihood": None},
    **{"data": {"type": "x"}, "samples": {"count": 64, "nfe": 3.0, "failed": []}},
    **{"reference": {"coordinates": {"count": 10}}, "missing": {}, "findings": [FINDING]},
    **{"finished": "2026-01-01T00:00:00+00:00"},
}

JSON_FILES = {
    "run/config.json": [["watch", "{}/run"], ["export", "{}/run", *("--format", "safetensors")]],
    "run/versions.json": [["train", tiny("digits"), "--workdir", "{}/run", "--resume"]],
    "run/checkpoints/0/notes/metadata": [["export", "{}/run", *("--format", "safetensors")]],
    "run/evaluations/one/evaluation.json": [["compare", "{}/run", "{}/run", "--out", "{}/out"]],
    "model.json": [["train", "{}/model.json", "--dry-run"]],
    "pictures/dataset.json": [["data", "show", "{}/pictures", "--out", "{}/out.png"]],
}
"""JSON files, with the commands that read them."""

LINES = [
    *(b"null", b"3", b"[]", b"text", b'"text"', b"{}", b'{"step": null}', b'{"step": "x"}', b"{"),
    *(b'{"step": Infinity}', b'{"step": 2.5}', b'{"step": -1}', b'{"step": 4}', b'{"step": true}'),
    *(b'{"step": 4, "loss": "x"}', b'{"step": 4, "seconds": null}', b"\xff\xfe", b"[" * 10**5),
    *(b'{"step": 4, "loss": NaN}', b'{"step": 4, "loss": [1]}', b'{"step": 99999999999999999999}'),
    *(b"\0\0\0", b'{"step": 4, "seconds": 1e999}', b'{"loss": 1}'),
]
"""Lines of metrics."""


def value_cases(rng, folder, per_file):
    """Cases in which a value of a JSON file is another."""
    for name, commands in JSON_FILES.items():
        good = json.loads((folder / name).read_text())
        places = list(paths_in(good))
        for _ in range(per_file):
            place, value = rng.choice(places), rng.choice(VALUES)
            text = json.dumps(replaced(good, place, value))
            for command in commands:
                yield Case(
                    f"{name} {'.'.join(map(str, place))}={value!r:.40} {command[0]}",
                    writing(name, text.encode()),
                    command if command[0] != "export" else [*command, "--out", "{}/out"],
                    (name.rpartition("/")[2], "checkpoint"),
                )


def text_cases(rng, folder, per_file):
    """Cases in which a file has other bytes."""
    for name, commands in JSON_FILES.items():
        good = (folder / name).read_bytes()
        texts = {
            "empty": b"",
            "cut": good[: rng.randrange(len(good))],
            "flipped": flipped(rng, good),
            "deep list": b"[" * 10**5,
            "deep object": b'{"a":' * 10**5,
            "nested 900 times": b"[" * 900 + b"]" * 900,
            "zeros": bytes(len(good)),
            "digits": b"9" * 10**4,
            "latin": "é".encode("latin-1"),
            "twice": good * 2,
        }
        for kind in rng.sample(sorted(texts), per_file):
            command = commands[-1]
            yield Case(
                f"{name} {kind} {command[0]}",
                writing(name, texts[kind]),
                command if command[0] != "export" else [*command, "--out", "{}/out"],
                (name.rpartition("/")[2], "checkpoint"),
            )


def line_cases(rng, folder, count):
    """Cases in which a line of the metrics is another."""
    train = ["train", tiny("digits"), "--workdir", "{}/run", "--resume"]
    for line in rng.sample(LINES, count):
        for command in (["watch", "{}/run"], train):
            yield Case(
                f"metrics {line[:30]!r} {command[0]}",
                inserting("run/metrics.jsonl", line),
                command,
                ("metrics.jsonl",),
            )


def place_cases(rng, folder, count):
    """Cases in which a file stands in the place of a folder, or a folder in that of a file."""
    names = [
        *("run/config.json", "run/versions.json", "run/metrics.jsonl", "run/checkpoints"),
        *("run/checkpoints/0", "run/checkpoints/0/state", "run/pictures", "run/unreadable"),
        *("run/logs", "run/evaluations/one/evaluation.json", "model.json", "samples.npz"),
    ]
    commands = {"model.json": JSON_FILES["model.json"][0], "samples.npz": LABEL}
    commands["run/evaluations/one/evaluation.json"] = ["compare", "{}/run", "{}/run"]
    train = ["train", tiny("digits"), "--workdir", "{}/run", "--resume"]
    for name in rng.sample(names, count):
        words = (name.rpartition("/")[2], "run", "checkpoint")
        yield Case(f"{name} is of the other kind", turning(name), commands.get(name, train), words)


LABEL = ["label", "{}/samples.npz", "--folder", "{}/out", "--classifier", "{}/classifier"]

COMMANDS = [
    ["train", tiny("digits"), "--workdir", "{}/new"],
    ["sample", "{}/run"],
    ["likelihood", "{}/run"],
    ["evaluate", "{}/run"],
    ["edit", "{}/run", "--task", "inpaint", "--demo"],
    ["anomalies", "{}/run"],
    ["export", "{}/run", "--format", "safetensors", "--out", "{}/out"],
    ["import", "{}/weights.pth", "--model", "{}/model.json", "--workdir", "{}/new"],
    LABEL,
    ["compare", "{}/run", "{}/run"],
    ["data", "show", "{}/pictures"],
    ["data", "statistics", "quickstart", "--features", "coordinates"],
    ["watch", "{}/run"],
]


def options_of(command, folder):
    """The options that a command's help lists."""
    said = run_command(*(str(part).format(folder) for part in command), "--help").stdout
    names = set(re.findall(r"(?<![\w-])--[a-z][\w.-]*", said)) - {"--help"}
    assert names or command[0] == "watch", command
    return sorted(names)


def option_cases(rng, folder, per_command, commands=COMMANDS, options=options_of):
    """Cases in which an option has another value."""
    for command in commands:
        names = options(command, folder)
        for _ in range(per_command if names else 0):
            name, value = rng.choice(names), rng.choice(OPTION_VALUES)
            start = command[:2] if command[0] == "train" else command
            rest = command[2:] if command[0] == "train" else []
            yield Case(
                f"{command[0]} {name} {value!r:.30}",
                lambda folder: None,
                [*start, name, value, *rest],
                (name.rpartition(".")[2], " ".join(value.split())[:40]),
            )


def check(case, good, folder):
    """Runs a case within its limits, and checks that its refusal is one that helps."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good, folder)
    case.change(folder)
    before = (contents(folder), sorted(folder.rglob("*")))
    with limits():
        try:
            outcome = run_command(*(str(part).replace("{}", str(folder)) for part in case.command))
        except Reached:
            return "accepted"
    if outcome.code == 0:
        return "accepted"
    lines = [line for line in outcome.messages if not line.startswith("warning: ")]
    assert outcome.code in (1, 2), outcome
    assert [line.startswith("error: ") for line in lines[-1:]] == [True], outcome
    (line,) = lines
    assert len(line) < 1000
    assert not re.search(r"0x[0-9a-f]{6}|\[Errno|Traceback|Expecting value: line 1$", line), line
    assert any(squeezed(word) in squeezed(line) for word in case.named), (case.named, line)
    assert (contents(folder), sorted(folder.rglob("*"))) == before, "a refusal left something"
    return "refused"


@contextlib.contextmanager
def limits():
    """Limits processor time, wall time and memory, and stops what is accepted where it begins."""

    def late(number, frame):
        raise TimeoutError(f"the case took too long: {signal.Signals(number).name}")

    def reach(*args, **options):
        raise Reached

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    timers = ((signal.ITIMER_PROF, signal.SIGPROF, CPU_SECONDS),)
    timers += ((signal.ITIMER_REAL, signal.SIGALRM, SECONDS),)
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as undo:
        for module in (generation, measurement):
            patch.setattr(module, "compiled_on_each_device", lambda function: reach)
        patch.setattr(training, "train", reach)
        resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, hard))
        undo.callback(resource.setrlimit, resource.RLIMIT_AS, (soft, hard))
        for timer, number, seconds in timers:
            undo.callback(signal.signal, number, signal.signal(number, late))
            undo.callback(signal.setitimer, timer, 0)
            signal.setitimer(timer, seconds)
        yield


def squeezed(text):
    return re.sub("[-_ ]", "", text.encode(errors="backslashreplace").decode().lower())


def paths_in(value, path=()):
    """The places of all values in a JSON value, itself included."""
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths_in(inner, (*path, key))


def replaced(value, path, new):
    """A JSON value with another one at a place."""
    if not path:
        return new
    changed = copy.deepcopy(value)
    part = changed
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = new
    return changed


def flipped(rng, data):
    """The bytes with three of them inverted."""
    changed = bytearray(data)
    for _ in range(3):
        changed[rng.randrange(len(data))] ^= 255
    return bytes(changed)


def writing(name, data):
    return lambda folder: (folder / name).write_bytes(data)


def inserting(name, line):
    """Puts a line in the middle of a file."""

    def change(folder):
        first, *rest = (folder / name).read_bytes().splitlines()
        (folder / name).write_bytes(b"\n".join([first, line, *rest, b""]))

    return change


def turning(name):
    """Makes a folder of a file, or a file of a folder."""

    def change(folder):
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
            path.write_text("x")
        else:
            was_there = path.exists()
            path.unlink(missing_ok=True)
            path.mkdir() if was_there or "." in path.name else path.write_text("x")

    return change
