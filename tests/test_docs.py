"""What README, CONTRIBUTING and the pages of docs/ say, they do."""

import ast
import configparser
import dataclasses
import importlib
import re
import shlex
import shutil
import types
from pathlib import Path
from unittest import mock

import jax
import numpy as np
import PIL.Image
import pytest
from in_process import outcome_of, run_command, succeed
from tiny import tiny, untrained

import sde_jax
from sde_jax.api import fitting
from sde_jax.api.mode import Maximum
from sde_jax.command_line import anomalies, edit, likelihood, sample
from sde_jax.recipes.interfaces import Measured
from sde_jax.runs.catalogue import find
from sde_jax.sampling import ExponentialAdams, Samples
from sde_jax.sde import LinearSDE

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r'^```(\w+)(?: title="([^"\n]+)")?\n(.*?)^```', re.DOTALL | re.MULTILINE)
BLOCKS = {
    str(path.relative_to(ROOT)): BLOCK.findall(path.read_text())
    for path in PAGES
    if BLOCK.search(path.read_text())
}
FACES = ["sde_jax", *re.findall(r"- (sde_jax\.\w+): api/", (ROOT / "mkdocs.yml").read_text())]
FILES = {title: text for blocks in BLOCKS.values() for _, title, text in blocks if title}
LINES = list(
    dict.fromkeys(
        line.partition("  #")[0].strip()
        for blocks in BLOCKS.values()
        for language, _, text in blocks
        if language == "sh"
        for line in text.replace("\\\n", "").splitlines()
    )
)
TINY = ("--training.steps", 2, "--training.batch-size", 16, "--training.eval-examples", 16)
SMALL = ("--network.attention-resolutions", "--network.channels", 8, "--network.multipliers", 1)

pytestmark = pytest.mark.filterwarnings("ignore:the covariances of")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """A folder with what the pages take for granted: definitions, pictures, a home."""
    folder = tmp_path_factory.mktemp("workshop")
    (folder / "experiments").symlink_to(ROOT / "experiments")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    draw = np.random.default_rng(0)
    for path in ("home/pictures", "pictures"):
        (folder / path).mkdir(parents=True)
        for index in range(12):
            grey = draw.integers(0, 256, (8, 8), np.uint8)
            PIL.Image.fromarray(grey).save(folder / path / f"{index}.png")
    rows = "".join(f"{a},{b}\n" for a, b in draw.normal(size=(40, 2)).tolist())
    (folder / "table.csv").write_text(f"length,width\n{rows}")
    (folder / "widths.csv").write_text("width\n0.5\n")
    PIL.Image.fromarray(np.uint8([[255] * 8] * 3 + [[0] * 8] * 5)).save(folder / "mask.png")
    return folder


@pytest.fixture
def inside(workshop, monkeypatch):
    """Works in that folder, with `fit` of one convolution in 20 steps."""
    whole, network = fitting._default_experiment, find(tiny("digits")).experiment.network

    def small(*args):
        experiment = whole(*args)
        training = dataclasses.replace(experiment.training, batch_size=16, steps=20)
        if len(experiment.data.layout().shape) == 1:
            return dataclasses.replace(experiment, training=training)
        return dataclasses.replace(experiment, network=network, training=training)

    monkeypatch.setattr(fitting, "_default_experiment", small)
    monkeypatch.setattr(fitting, "LEAST_STEPS", 10)
    monkeypatch.setattr(fitting, "UPDATES_SHARE", 1000)
    monkeypatch.setenv("HOME", str(workshop / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(workshop / "home/.cache"))
    monkeypatch.chdir(workshop)
    return workshop


@pytest.fixture(scope="module")
def runs(workshop):
    """The runs that the pages take for granted, in that folder."""
    folder = workshop / "runs"
    names = {
        "digits": "digits",
        "labels": "labeled",
        "digits_classifier": "classifier",
        "noisy": "grey_noisy_classifier",
        "digits_student": "student",
    }
    for run, name in names.items():
        untrained(name, folder / run)
    (folder / "digits/samples").mkdir()
    np.savez(folder / "digits/samples/drawn.npz", samples=np.zeros((4, 8, 8, 1), np.float32))


def mixture_was_drawn(names, out):
    # The mixture's mean is 0.3 * (-1, 0.5) + 0.7 * (1, 0), that of 1000 has an error of .03.
    assert names["samples"].x.mean(axis=0) == pytest.approx([0.4, 0.15], abs=0.15)
    assert "501" in out


def halves_are_as_far_apart_as_the_finite_sample_bias(names, out):
    # 64 dimensions, 1000 images each: 64 * 69 / 2000, of which a draw is off by .06.
    assert names["distance"].bias == pytest.approx(2.21, rel=0.1)
    assert names["distance"].value == pytest.approx(2.21, abs=0.25)


def lopsided_gaussian_was_drawn(names, out):
    # Of 10,000, with errors of .004 and .003.
    assert names["samples"].x.mean() == pytest.approx(0.7, abs=0.02)
    assert names["samples"].x.std() == pytest.approx(0.4, abs=0.015)
    assert "21" in out


def trained_network_draws_the_gaussian(names, out):
    assert names["samples"].x.mean() == pytest.approx(0.7, abs=0.05)
    assert names["samples"].x.std() == pytest.approx(0.4, abs=0.05)


def a_measurement_guides_as_far_as_its_method_can(names, out):
    # The exact recursion of PiGDM, of 10,000 samples, not the posterior's .900 and .436.
    assert names["samples"].x.mean(axis=0) == pytest.approx([1.0, 0.854], abs=0.025)
    assert names["samples"].x.std(axis=0) == pytest.approx([0.01, 0.463], abs=0.025)


def density_is_the_exact_one(names, out):
    exact = -0.5 * np.array([1.0, 0.0]) - np.log(0.4 * np.sqrt(2 * np.pi))
    # The mean of p_1 is .0046, and that of the prior 0.
    assert names["result"].nats == pytest.approx(exact, abs=0.01)


def samples_have_the_exact_density(names, out):
    exact = -0.5 * ((names["samples"][:, 0] - 0.7) / 0.4) ** 2 - np.log(0.4 * np.sqrt(2 * np.pi))
    assert names["density"].nats == pytest.approx(np.asarray(exact), abs=0.03)


def gradients_are_the_exact_score(names, out):
    assert names["gradient"](names["x"]) == pytest.approx(np.array([[2.5], [0]]), abs=0.05)


def coefficients_belong_together(names, out):
    sde = names["sde"]
    assert isinstance(sde, LinearSDE)
    assert np.asarray(names["change"]) == pytest.approx(np.asarray(names["expected"]), abs=1e-5)
    assert sde.time_of(sde.noise_to_signal(np.float32(0.3))) == pytest.approx(0.3, rel=1e-5)


def run_was_fitted(names, out):
    assert names["samples"].x.shape == (16, 8, 8, 1)
    assert names["bits"].bits_per_dim.shape == (16,)
    assert 0 < names["bits"].bits_per_dim.mean() < 20
    assert names["run"].step >= 10


def numbers_were_fitted(names, out):
    assert names["samples"].shape == (16, 2) and np.all(names["samples"] > 0)
    assert np.all(np.isfinite(names["nats"]))


def posterior_was_fitted(names, out):
    assert names["samples"].shape == (100, 2) and np.all(np.isfinite(names["samples"]))
    assert np.all(np.isfinite(names["nats"]))


CHECKS = {
    "predictor=EulerMaruyama())": mixture_was_drawn,
    "StreamingMoments": halves_are_as_far_apart_as_the_finite_sample_bias,
    "DenoiserScore(denoise": lopsided_gaussian_was_drawn,
    "velocity(x, 1 - time)": lopsided_gaussian_was_drawn,
    "draw = jax.jit": lopsided_gaussian_was_drawn,
    "optax.adam": trained_network_draws_the_gaussian,
    "PiGDM(\n": a_measurement_guides_as_far_as_its_method_can,
    "ExactTrace())": density_is_the_exact_one,
    "print(samples, density": samples_have_the_exact_density,
    "gradient(x)": gradients_are_the_exact_score,
    "abs(change - expected)": coefficients_belong_together,
    "sde_jax.fit(images": run_was_fitted,
    "sde_jax.fit(numbers": numbers_were_fitted,
    "sde_jax.fit(parameters": posterior_was_fitted,
}


PYTHON = {
    page: [text for language, _, text in blocks if language == "python"]
    for page, blocks in BLOCKS.items()
    if any(language == "python" for language, _, _ in blocks)
}
DEAR = [
    "README.md",
    "docs/concepts/likelihood.md",
    "docs/index.md",
    "docs/how_to/conditional_sampling.md",
    "docs/how_to/own_data.md",
    "docs/how_to/own_training_loop.md",
]
"""Pages that take longest."""


@pytest.mark.parametrize(
    "page", [pytest.param(p, marks=[pytest.mark.slow] if p in DEAR else []) for p in PYTHON]
)
def test_python_of_a_page_runs_from_top_to_bottom(inside, page, capsys):
    names: dict = {"__name__": "page"}
    for text in PYTHON[page]:
        run_block(page, text, names)
        out = capsys.readouterr().out
        for mark, check in CHECKS.items():
            if mark in text:
                check(names, out)


def run_block(page, text, names):
    with jax.numpy_rank_promotion("allow"):
        exec(compile(text, page, "exec"), names)


def shapes_alone(function):
    """Stands in for `jax.jit`: traces the first call of the function, and returns zeros."""
    results = []

    def call(*args):
        shapes = [] if results else [jax.eval_shape(function, *args)]
        results.extend(jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes))
        return results[0]

    return call


def not_fitted(*arrays, workdir, **_):
    """Stands in for `sde_jax.fit`."""
    if not Path(workdir).exists():
        untrained("digits", Path(workdir))
        (Path(workdir) / "metrics.jsonl").write_text('{"step": 0, "loss": 1.0}\n')
    return sde_jax.open_run(workdir)


DRAW = ExponentialAdams.__call__


def zeros_drawn(self, keys, score, sde, shape):
    """Stands in for a sampler."""
    found = jax.eval_shape(lambda keys: DRAW(self, keys, score, sde, shape), keys)
    return jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), found)


@pytest.mark.parametrize("page", DEAR)
def test_python_of_a_dear_page_has_shapes(inside, page, monkeypatch):
    """What a page compiles is traced, without its numbers, no run is trained or draws, and loops
    have two rounds; the rest runs."""
    names: dict = {"__name__": "page", "range": lambda count: range(2)}
    drawn, bits = Samples(np.zeros((16, 8, 8, 1)), np.zeros(16), None), Measured(*np.ones((5, 16)))
    for owner, name, stub in (
        (sde_jax.Run, "sample", {"return_value": drawn}),
        (sde_jax.Run, "likelihood", {"return_value": bits}),
        (sde_jax.Run, "maximum", {"return_value": Maximum(np.zeros(2), 0.0)}),
        (sde_jax, "fit", {"side_effect": not_fitted}),
        (ExponentialAdams, "__call__", {"side_effect": zeros_drawn}),
    ):
        usual = getattr(owner, name)
        monkeypatch.setattr(owner, name, mock.create_autospec(usual, **stub))
    for text in PYTHON[page]:
        with monkeypatch.context() as patch:
            if "jax.jit" in text:
                patch.setattr(jax, "jit", shapes_alone)
            run_block(page, text, names)


def test_every_check_is_of_a_block():
    text = "".join(text for blocks in BLOCKS.values() for _, _, text in blocks)
    assert [mark for mark in CHECKS if mark not in text] == []


@pytest.mark.parametrize(
    ("file", "name"), [("my.py", "stripes"), ("plain.py", "plain"), ("my_simulator.py", "line")]
)
def test_own_experiment_builds_a_learner(inside, file, name):
    names: dict = {"__name__": "page"}
    exec(FILES[file], names)
    experiment = names[name]()
    source = experiment.data.load()
    experiment.check_data(source)
    state = jax.eval_shape(experiment.learner(source.shape).init, jax.random.key(0))
    assert jax.tree.leaves(state.params)


QUICKSTART = "sde-jax quickstart"
"""The line that another file tests."""

REFUSED = {
    "import checkpoint_8.pth": "checkpoint_8.pth",
    "runs/ddpmpp": "runs/ddpmpp",
    "weights inception": "pt_inception",
    "data statistics cifar10_vp": "cifar10",
    "data statistics ~/pictures": "Inception weights",
}
"""Lines that need what no test has, and what the refusal names."""

USED = {
    "runs/stripes": (*SMALL, *TINY),
    "runs/plain": TINY[2:],
    "runs/lengths": (*TINY, "--network.width", 8, "--training.eval-every", 2),
}
"""Runs that later lines use, with what makes their training short."""

BRIEF = {
    "sample": ("--count", 4),
    "likelihood": ("--count", 4),
    "evaluate": ("--count", 40, "--metrics", "frechet", "--sampling.steps", 3),
    "anomalies": ("--count", 4),
    "edit": ("--count", 2),
}


def options_of(words):
    """What is added to a line to make it brief."""
    if words[0] != "train":
        chosen = words[0] != "edit" or {"--steps", "interpolate"} & set(words)
        steps = () if chosen else ("--steps", 3)
        images = ("--images", 2) if "--demo" in words else ()
        return (*BRIEF.get(words[0], ()), *steps, *images)
    used = [options for run, options in USED.items() if run in words and "--resume" not in words]
    return used[0] if used else ("--dry-run",)


TOOL = [line for line in LINES if line.startswith("sde-jax ") and line != QUICKSTART]
DRAWING = [line for line in TOOL if re.match("sde-jax (edit|sample|likelihood|anomalies) ", line)]


def is_trained(line):
    """Whether a line trains, or needs the run of one that does."""
    return any(run in line for run in USED)


def nothing_drawn(draw, params, *, count, **options):
    """Stands in for `draw_all`."""
    return Samples(np.zeros((count, 8, 8, 1), np.float32), np.zeros(count), np.ones(count, bool))


def nothing_measured(density, params, source, split, *, count=None, **options):
    """Stands in for `measure`."""
    count = count or source.sizes[split]
    yield Measured(*np.random.default_rng(0).random((4, count)), np.ones(count, bool))


@pytest.mark.parametrize(
    "line",
    [pytest.param(x, marks=[pytest.mark.slow] if is_trained(x) else []) for x in TOOL],
)
def test_line_of_the_tool_does_what_it_says(runs, inside, monkeypatch, line):
    """Some draw and measure nothing here: `test_line_of_the_tool_draws_and_measures`."""
    for command in (edit, sample):
        monkeypatch.setattr(command, "draw_all", nothing_drawn)
    for command in (anomalies, likelihood):
        monkeypatch.setattr(command, "measure", nothing_measured)
    check_line(line)


@pytest.mark.slow("test_line_of_the_tool_does_what_it_says")
@pytest.mark.parametrize("line", DRAWING)
def test_line_of_the_tool_draws_and_measures(runs, inside, line):
    check_line(line)


def check_line(line):
    if "compare" in line:
        succeed("evaluate", "runs/digits", *BRIEF["evaluate"])
        shutil.copytree("runs/digits", "runs/quickstart")
    drawn = next(Path("runs/digits/samples").glob("*.npz")).stem
    words = [str(Path(word).expanduser()) if word[0] == "~" else word for word in shlex.split(line)]
    words = [word.replace("NAME", drawn) for word in words[1:]]
    outcome = run_command(*words, *options_of(words))
    wanted = [name for start, name in REFUSED.items() if start in line and words[0] != "train"]
    if wanted:
        message = outcome.messages[-1]
        assert outcome.code == 2 and message.startswith("error: ") and wanted[0] in message
    else:
        assert outcome.code == 0, outcome.stderr
        assert outcome.stdout


def test_benchmarks_are_asked_as_the_pages_say(monkeypatch):
    from benchmarks.__main__ import main, parse

    lines = [shlex.split(line)[3:] for line in LINES if line.startswith("python -m benchmarks")]
    assert [parse(words).quick for words in lines] == [words == ["--quick"] for words in lines]
    assert "likelihood" in outcome_of(main, ["list"]).stdout


def test_other_lines_install_what_there_is():
    known = (
        "python3 -m venv",
        "pip install",
        "pre-commit install",
        "source",
        "tfds build",
        "for i",
    )
    tested = ("sde-jax", "python -m benchmarks")
    assert [line for line in LINES if not line.startswith(known + tested)] == []
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = {
        extra
        for line in LINES
        for names in re.findall(r"\[([\w,]+)\]", line)
        for extra in names.split(",")
    }
    assert extras and extras <= set(setup["options.extras_require"])


def test_continuous_integration_runs_the_test_command_of_the_readme():
    commands = [line for line in LINES if line.startswith("python3 -m venv") and "pytest" in line]
    assert len(commands) == 1
    assert commands[0] in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_files_that_it_points_to_are_there(page):
    for path in re.findall(r"\]\((?!http)([^)]+)\)", (ROOT / page).read_text()):
        name, _, heading = path.partition("#")
        assert (ROOT / name).is_file(), path
        titles = re.findall(r"^#+ (.+)$", (ROOT / name).read_text(), re.M) if heading else []
        slugs = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
        assert not heading or heading in slugs, path


def documented_constants():
    """Every module-level name of the package that a string follows, an alternative's included."""
    found = set()
    for path in (ROOT / "sde_jax").rglob("*.py"):
        body = ast.parse(path.read_text()).body
        for node, after in zip(body, body[1:], strict=False):
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                node = node.body[-1] if isinstance(node, ast.If) else node
                targets = getattr(node, "targets", [getattr(node, "target", None)])
                found |= {getattr(target, "id", None) for target in targets}
    return found


def test_public_names_have_docstrings():
    constants = documented_constants()
    missing = []
    for face in FACES:
        module = importlib.import_module(face)
        assert module.__doc__
        for name in getattr(module, "__all__", vars(module)):
            value = getattr(module, name)
            if name.startswith("_") or isinstance(value, types.ModuleType):
                continue
            written = callable(value) and value.__doc__ and not value.__doc__.startswith(f"{name}(")
            if not written and name not in constants and name != "__version__":
                missing.append(f"{face}.{name}")
    assert missing == []


def test_every_face_has_a_page():
    packages = {path.parent.name for path in (ROOT / "sde_jax").glob("*/__init__.py")}
    inner = {"api", "command_line", "editing", "evaluation", "runs"}
    assert {f"sde_jax.{package}" for package in packages - inner} == set(FACES) - {"sde_jax"}
    for face in FACES:
        page = (ROOT / "docs/api" / f"{face.removeprefix('sde_jax.')}.md").read_text()
        assert f"::: {face}" in page
    assert [name for name in sde_jax.__all__ if name not in page_of_the_package()] == []


def page_of_the_package():
    return (ROOT / "docs/api/sde_jax.md").read_text()


def strings_of_the_package():
    """Every text of the package, with a ``*`` for what is filled in."""
    for path in (ROOT / "sde_jax").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (getattr(part, "value", None) for part in node.values)
                yield "".join(part if isinstance(part, str) else "*" for part in parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_error_messages_are_those_of_the_code():
    texts = list(strings_of_the_package())
    messages = re.findall(r"^\*\*`(.+)`\*\*$", (ROOT / "docs/faq.md").read_text(), re.M)
    assert len(messages) > 9
    for message in messages:
        pattern = re.escape(message.removesuffix("...").strip())
        pattern = re.sub(r"'?\b(NAME|RUN|FILE|WHAT|N)\b'?", r"\\*", pattern.replace(r"\ ", " "))
        assert any(re.search(pattern, text) for text in texts), message


def test_functions_of_the_walks_are_there():
    kinds = (ast.FunctionDef, ast.ClassDef)
    trees = [ast.parse(path.read_text()) for path in (ROOT / "sde_jax").rglob("*.py")]
    nodes = (node for tree in trees for node in ast.walk(tree) if isinstance(node, kinds))
    defined = {node.name for node in nodes}
    walks = (ROOT / "CONTRIBUTING.md").read_text().partition("## Walks")[2]
    names = {path.rpartition(".")[2] for path in re.findall(r"`([A-Za-z_.]+)`", walks)}
    assert len(names) > 20
    assert names - defined == set()
