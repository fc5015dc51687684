"""Definitions of experiments: their names, their learners, and files of the user's."""

import ast
import json
import multiprocessing
import pickle
import re
import sys
import textwrap
import warnings

import jax
import numpy as np
import pytest
from in_process import refusal, run_command, succeed

from experiments.reproduction.order import study_names
from sde_jax.data.scaling import ImageScaling
from sde_jax.data.source import Batch
from sde_jax.interop.configurations import published_names
from sde_jax.recipes import ConfigurationError, Named, Trainable
from sde_jax.recipes.definition_file import import_file
from sde_jax.runs import definition_names
from sde_jax.runs.catalogue import find
from sde_jax.runs.definition_names import definitions
from sde_jax.runs.trained_run import open_run

NAMES = [
    *("cifar10_subvp", "cifar10_ve", "cifar10_vp", "digits_bits", "digits_classifier"),
    *("digits_conditional", "digits_ddpm", "digits_denoiser_prior", "digits_dequantizer"),
    *("digits_flow", "digits_flow_matching", "digits_gan", "digits_labels", "digits_latent"),
    *("digits_noisy_classifier", "digits_sliced", "digits_student", "digits_subvp", "digits_vae"),
    *("digits_ve", "digits_vp", "field_2d", "flowers_colour", "flowers_colour_narrow"),
    *("flowers_narrow", "flowers_vp", "folder", "gaussian_linear_uniform", "gaussian_mixture"),
    *("mnist_bits_narrow", "mnist_classifier", "mnist_conditional", "mnist_conditional_narrow"),
    *("mnist_ddpm", "mnist_ddpm_narrow", "mnist_denoiser_prior", "mnist_flow"),
    *("mnist_flow_matching_narrow", "mnist_flow_narrow", "mnist_gan", "mnist_gan_narrow"),
    *("mnist_labels", "mnist_latent", "mnist_latent_narrow", "mnist_noisy_classifier"),
    *("mnist_sliced", "mnist_subvp", "mnist_subvp_narrow", "mnist_vae", "mnist_vae_narrow"),
    *("mnist_ve", "mnist_ve_narrow", "mnist_vp", "mnist_vp_narrow", "numbers", "quickstart"),
    *("ring", "ring_implicit", "ring_sliced", "series", "slcp", "svhn_vp", "table", "two_moons"),
    "volume",
]
STUDIES = [
    *("digits_comparison", "digits_forward", "digits_matching", "digits_nearest"),
    "digits_protocols",
    *("digits_samplers", "flowers_narrow_samplers", "flowers_samplers", "forward"),
    *("mnist_comparison", "mnist_full_comparison", "mnist_matching", "mnist_nearest"),
    *("ring_matching", "samplers"),
]
SHAPES = {
    "cifar10": (32, 32, 3),
    "digits": (8, 8, 1),
    "field": (16, 24, 1),
    "flowers": (64, 64, 1),
    "flowers_colour": (64, 64, 3),
    "flowers_colour_narrow": (32, 32, 3),
    "flowers_narrow": (32, 32, 1),
    "folder": (64, 64, 3),
    "gaussian_linear_uniform": (10,),
    "gaussian_mixture": (2,),
    "mnist": (32, 32, 1),
    "quickstart": (8, 8, 1),
    "numbers": (3,),
    "ring": (2,),
    "series": (256, 1),
    "slcp": (5,),
    "svhn": (32, 32, 3),
    "two": (2,),
    "volume": (8, 8, 8, 1),
    "table": (8,),
}
DRY = [
    *("digits_classifier", "digits_conditional", "digits_denoiser_prior", "digits_flow"),
    *("digits_gan", "digits_latent", "digits_noisy_classifier", "digits_student", "digits_vae"),
    *("digits_vp", "ring"),
]
"""An experiment of each recipe."""
LIGHT = [
    *("digits_classifier", "digits_ddpm", "digits_gan", "digits_labels", "digits_noisy_classifier"),
    *("digits_sliced", "digits_vae", "digits_vp", "ring", "ring_implicit", "ring_sliced"),
    *("numbers", "table", "two_moons"),
]
"""Experiments whose losses are traced quickly."""
STRIPES = '''
import dataclasses
import flax.linen as nn
import numpy as np
from sde_jax.data.array_source import ArraySource
from sde_jax.data.source import DataSpec
from sde_jax.nets import NetworkSpec
from sde_jax.recipes import ScoreExperiment, quickstart


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stripes(DataSpec):
    count: int = 100

    def load(self):
        rows = np.random.default_rng(0).integers(0, 256, (self.count, 8, 1, 1), np.uint8)
        images = np.broadcast_to(rows, (self.count, 8, 8, 1)).copy()
        return ArraySource({"train": images[:-20], "test": images[-20:]})


class Linear(nn.Module):
    @nn.compact
    def __call__(self, x, time, condition=None, *, deterministic=True):
        return nn.Dense(x.shape[-1])(x)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearSpec(NetworkSpec):
    def build(self):
        return Linear()


def stripes() -> ScoreExperiment:
    """Stripes."""
    return dataclasses.replace(quickstart(), data=Stripes(), network=LinearSpec())
'''
TINY = [
    *("--training.batch-size", 16, "--training.eval-every", 2, "--training.eval-examples", 16),
    *("--training.steps", 2),
]


def write(path, text):
    path.write_text(textwrap.dedent(text))
    return path


@pytest.fixture
def own_modules(monkeypatch):
    """Forgets the modules that a test imports, and the folders that they came from."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if "." not in name:
            del sys.modules[name]


@pytest.fixture
def stripes(own_modules, tmp_path):
    """A file of the user's."""
    (tmp_path / "own").mkdir()
    return write(tmp_path / "own" / "my_stripes.py", STRIPES)


@pytest.fixture
def own_folder(own_modules, tmp_path, monkeypatch):
    """The folder of definitions of a user's."""
    folder = tmp_path / "experiments"
    folder.mkdir()
    monkeypatch.setattr(definition_names, "FOLDER", folder)
    return folder


def test_list_names_every_experiment_and_study_with_a_line():
    outcome = run_command("list")
    assert outcome.code == 0
    experiments = [*NAMES, *published_names()]
    assert outcome.results == {"experiments": experiments, "studies": STUDIES}
    assert study_names() == STUDIES
    lines = outcome.stdout.splitlines()[:-1]
    for name in (*experiments, *STUDIES):
        assert [line for line in lines if re.match(rf"\s+{re.escape(name)}\s+\w", line)], name
    assert outcome.stderr == ""


def test_a_docstring_says_the_command_and_what_to_expect():
    for definition in definitions():
        command = rf"(sde-jax (train )?|python -m experiments ){definition.name}\b"
        assert re.search(command, definition.description), definition.name
        assert definition.headline.endswith((".", "?")), definition.name
        assert len(definition.headline) <= 96, definition.name


def test_nothing_is_built_at_import():
    for file in definition_names.FOLDER.glob("[!_]*.py"):
        for node in ast.parse(file.read_text()).body:
            if not isinstance(node, ast.FunctionDef):
                assert not any(isinstance(part, ast.Call) for part in ast.walk(node)), file


def slow_but(quick):
    """All names, of which only ``quick`` are not slow: large networks take seconds to trace."""
    marks = {name: () if name in quick else pytest.mark.slow for name in NAMES}
    return pytest.mark.parametrize("name", [pytest.param(n, marks=marks[n]) for n in NAMES])


def learner_of(name):
    """The learner of an experiment, and the shape of its examples."""
    experiment = find(name).experiment
    assert isinstance(experiment, Trainable)
    shape = SHAPES.get(name) or SHAPES[name.split("_")[0]]
    return experiment.learner(shape), shape


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_has_a_learner(name):
    learner, _ = learner_of(name)
    assert callable(learner.update)


@slow_but(LIGHT)
def test_every_learner_has_a_loss_of_each_example(name):
    if name in ("digits_dequantizer", "digits_student"):
        pytest.skip("its losses need a run: test_dequantizers.py and test_student.py have them")
    learner, shape = learner_of(name)
    key = jax.random.key(0)
    state = jax.eval_shape(learner.init, key)
    batch = Batch(
        jax.ShapeDtypeStruct((4, *shape), np.float32), jax.ShapeDtypeStruct((4,), np.int32)
    )
    assert jax.eval_shape(learner.evaluate, state, key, batch).shape == (4,)


@pytest.mark.parametrize("name", ["mnist_vp", "mnist_subvp", "mnist_ve"])
def test_images_are_centred_as_their_prior_is(name):
    assert find(name).experiment.data.layout().scaling == ImageScaling(centered=True)


@slow_but(DRY)
def test_every_experiment_has_a_dry_run(name):
    if name == "numbers":
        pytest.skip("its data are a file of the user's: tests/api/test_fitting_numbers.py has one")
    results = succeed("train", name, "--dry-run")
    assert Named.from_config(results) == find(name)
    assert results["parameters"] > 1000


def test_what_is_not_there_is_refused():
    assert "no experiment 'digits': there are cifar10_subvp, " in refusal("train", "digits")
    assert "train needs the NAME of an experiment first" in refusal("train")
    assert "train needs the NAME of an experiment first" in refusal("train", "--dry-run", "ring")
    assert "no command 'trian': there are list, train, " in refusal("trian")
    assert "Unrecognized options: extra" in refusal("list", "extra")
    assert "Unrecognized options: --steps, 3" in refusal("quickstart", "--steps", 3)
    assert "a study, and has no run: python -m experiments forward" in refusal("train", "forward")


def test_a_file_of_the_user_is_trained_and_its_run_opened(stripes, tmp_path):
    run = tmp_path / "run"
    results = succeed("train", f"{stripes}:stripes", "--workdir", run, *TINY)
    assert results["step"] == 2
    config = json.loads((run / "config.json").read_text())
    assert config["file"] == str(stripes)
    assert config["experiment"]["data"] == {"type": "my_stripes.py:Stripes", "count": 100}
    opened = open_run(run)
    assert opened.experiment.data == find(f"{stripes}:stripes").experiment.data
    again = succeed("train", f"{stripes}:stripes", "--workdir", run, "--resume", *TINY)
    assert again["step"] == 2


def test_a_run_opens_without_its_definition_and_says_where_its_classes_were(stripes):
    config = json.loads(json.dumps(find(f"{stripes}:stripes").config()))
    write(stripes, STRIPES.partition("def stripes")[0])
    assert Named.from_config(config).experiment.data.count == 100
    stripes.unlink()
    missing = "my_stripes.py:?.*which does not exist: correct the `file` of the configuration"
    with pytest.raises(ConfigurationError, match=missing):
        Named.from_config(config)
    with pytest.raises(ConfigurationError, match="`file` must be an absolute path: got 'x.py'"):
        Named.from_config({**config, "file": "x.py"})


def test_a_class_of_the_user_is_imported_where_it_is_needed(stripes):
    pickled = pickle.dumps(find(f"{stripes}:stripes").experiment.data)
    del sys.modules["my_stripes"]
    assert repr(pickle.loads(pickled)) == "Stripes(count=100)"


@pytest.mark.slow("test_a_class_of_the_user_is_imported_where_it_is_needed")
def test_a_data_worker_can_import_a_class_of_the_user(stripes):
    data = find(f"{stripes}:stripes").experiment.data
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (again,) = pool.map(type(data).__repr__, [data])
    assert again == "Stripes(count=100)"


def test_a_class_that_a_file_only_imports_is_none_of_its_own(stripes):
    config = json.loads(json.dumps(find(f"{stripes}:stripes").config()))
    config["experiment"]["data"] = {"type": "my_stripes.py:ScoreExperiment"}
    with pytest.raises(ConfigurationError, match=f"of sde_jax or {stripes}: got my_"):
        Named.from_config(config)


def test_a_script_that_is_running_is_not_run_again(monkeypatch, stripes):
    script = import_file(stripes)
    monkeypatch.setitem(sys.modules, "__main__", script)
    monkeypatch.delitem(sys.modules, "my_stripes")
    assert import_file(stripes) is script


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("def mine():\n    raise KeyError('x')", "mine cannot be built: KeyError: 'x'"),
        ("def mine():\n    raise SystemExit(3)", "mine cannot be built: SystemExit: 3"),
        ("def mine():\n    return 3", "mine must return an experiment, such as sde_jax.recipes"),
        ("def other(): ...\ndef mine(x): ...\ndef _no(): ...", "there are {file}:other."),
        ("import not_there\ndef mine(): ...", "cannot be imported: ModuleNotFoundError: No module"),
        ("raise ValueError('a\\nb')\ndef mine(): ...", "cannot be imported: ValueError: a b"),
        ("import sys\nsys.exit(3)\ndef mine(): ...", "cannot be imported: SystemExit: 3"),
        ("def mine(:", "cannot be parsed: SyntaxError: "),
        ("def mine() -> None: ...", "names no function without parameters: there are none."),
    ],
)
def test_a_definition_that_fails_is_refused_in_a_line(own_modules, tmp_path, text, complaint):
    file = write(tmp_path / "own_definitions.py", text)
    assert complaint.format(file=file) in refusal("train", f"{file}:mine", "--dry-run")


def test_a_file_that_is_not_there_or_shadows_a_module_is_refused(own_modules, tmp_path):
    assert "nowhere.py does not exist: FILE.py:NAME" in refusal("train", "nowhere.py:x")
    for name in ("json", "jax", "sys"):
        file = write(tmp_path / f"{name}.py", "def mine(): ...")
        line = refusal("train", f"{file}:mine")
        assert f"{file} shadows the module {name!r} of " in line
        assert line.endswith(": rename the file.")
    file = write(tmp_path / "not-a-name.py", "def mine(): ...")
    assert "'not-a-name' is not a module name" in refusal("train", f"{file}:mine")
    file = write(tmp_path / "several.py", "def one(): ...\ndef two(): ...")
    assert f"there are {file}:one, {file}:two." in refusal("train", file)


def test_a_broken_file_is_reported_and_leaves_the_other_commands(own_folder):
    write(own_folder / "broken.py", "def mine(:")
    write(own_folder / "good_stripes.py", STRIPES)
    write(own_folder / "raising.py", "def late():\n    pass\nraise ValueError('late')")
    write(own_folder / "__main__.py", "def not_this(): ...")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        outcome = run_command("list")
    assert outcome.code == 0
    assert outcome.results["experiments"][:4] == ["late", "numbers", "quickstart", "stripes"]
    (line,) = outcome.messages
    assert line.startswith(f"warning: {own_folder / 'broken.py'} cannot be parsed: SyntaxError: ")
    assert line.endswith("Its experiments are left out.")
    (own_folder / "broken.py").unlink()
    assert succeed("train", "stripes", "--dry-run")["name"] == "stripes"
    assert "cannot be imported: ValueError: late" in refusal("train", "late", "--dry-run")


def test_a_name_of_several_definitions_is_refused(own_folder):
    for file in ("first_stripes.py", "second_stripes.py"):
        write(own_folder / file, STRIPES)
    line = refusal("train", "stripes", "--dry-run")
    both = ", ".join(f"{own_folder / f}_stripes.py:stripes" for f in ("first", "second"))
    assert f"'stripes' is defined more than once: name one of {both}." in line
    results = succeed("train", f"{own_folder / 'first_stripes.py'}:stripes", "--dry-run")
    assert results["name"] == "stripes"


def test_classes_of_two_files_are_refused(own_modules, tmp_path):
    write(tmp_path / "own_data.py", STRIPES)
    other = """
    import dataclasses
    from own_data import stripes
    from sde_jax.sde import VP


    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Mine(VP):
        pass


    def mine():
        return dataclasses.replace(stripes(), sde=Mine())
    """
    file = write(tmp_path / "own_sde.py", other)
    line = refusal("train", f"{file}:mine", "--dry-run")
    assert "the classes of mine must be defined in one file: got " in line
    assert f"{tmp_path / 'own_data.py'}, {file}." in line


def test_a_class_within_a_function_is_refused(own_modules, tmp_path):
    text = """
    import dataclasses
    from sde_jax.recipes import quickstart
    from sde_jax.sde import VP


    def mine():
        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Mine(VP):
            pass

        return dataclasses.replace(quickstart(), sde=Mine())
    """
    file = write(tmp_path / "own_local.py", text)
    line = refusal("train", f"{file}:mine", "--dry-run")
    assert "the class mine.<locals>.Mine must be defined at the top level of a file." in line
