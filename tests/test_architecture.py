"""The rules of the layout: who imports whom, how long a file and a function may be, docstrings."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = sorted((ROOT / "sde_jax").rglob("*.py"))
EXPERIMENTS = sorted((ROOT / "experiments").rglob("*.py"))
EVERYTHING = PACKAGE + EXPERIMENTS + sorted((ROOT / "benchmarks").rglob("*.py"))

MATHEMATICS = {"arrays", "randomness", "sde", "score"}
MAY_IMPORT = {
    "__init__": set(),
    "arrays": set(),
    "randomness": {"arrays"},
    "atomic": set(),
    "reporting": set(),
    "cache_folder": set(),
    "initialization": {"arrays"},
    "sde": {"arrays"},
    "operators": {"arrays"},
    "score": {"arrays", "initialization", "operators", "sde"},
    "objectives": MATHEMATICS,
    "sampling": MATHEMATICS | {"operators"},
    "likelihood": MATHEMATICS,
    "multistep_likelihood": MATHEMATICS | {"likelihood", "sampling"},
    "variational_bound": MATHEMATICS,
    "nets": {"arrays"},
    "data": {"arrays", "atomic", "cache_folder", "operators", "reporting"},
    "metrics": {"arrays"},
    "figures": {"arrays"},
    "training": {"arrays", "randomness", "atomic", "reporting", "data.source"},
}
MAY_IMPORT |= {"baselines": set(MAY_IMPORT), "interop": set(MAY_IMPORT)}


def name_of(path):
    return str(path.relative_to(ROOT))


each_module = pytest.mark.parametrize("path", PACKAGE, ids=name_of)
each_file = pytest.mark.parametrize("path", EVERYTHING, ids=name_of)


def tree_of(path):
    return ast.parse(path.read_text())


def imports_of(path):
    """Dotted names of every module that ``path`` imports, wherever in the file."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import in line {node.lineno}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(path):
    """The first level of the package that a module belongs to: ``sde``, ``likelihood``, ..."""
    return path.relative_to(ROOT / "sde_jax").with_suffix("").parts[0]


def is_allowed(imported, part):
    """Whether a module of ``part`` may import the dotted name, without its leading package."""
    allowed = MAY_IMPORT[part] | ({part} if part != "__init__" else set())
    return any(imported == name or imported.startswith(f"{name}.") for name in allowed)


@each_module
def test_imports_follow_the_graph(path):
    assert part_of(path) in MAY_IMPORT, f"{part_of(path)} has no place in the graph"
    for imported in imports_of(path):
        top, _, rest = imported.partition(".")
        assert top not in {"experiments", "benchmarks", "tests"}, imported
        if top == "sde_jax" and rest:
            assert is_allowed(rest, part_of(path)), f"{name_of(path)} must not import {imported}"


def test_the_graph_can_refuse():
    assert not is_allowed("score.protocol.Score", "sde")
    assert not is_allowed("sampling", "likelihood")
    assert not is_allowed("sde.VP", "nets")
    assert not is_allowed("data.tfds", "training")
    assert not is_allowed("score_sde.x", "sampling")
    assert not is_allowed("baselines.vae", "interop")
    assert is_allowed("data.source.Batch", "training")
    assert is_allowed("nets.ddpm", "interop")
    assert is_allowed("sde.base", "score")


@pytest.mark.parametrize("path", PACKAGE + EXPERIMENTS, ids=name_of)
def test_tensorflow_and_torch_are_nobodys_business_but_of_benchmarks(path):
    for imported in imports_of(path):
        assert imported.partition(".")[0] not in {"tensorflow", "torch"}, imported


@each_file
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= 300


def functions_of(path):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree_of(path)) if isinstance(node, kinds)]


def code_lines(function):
    """Lines of a function without its decorators, signature and docstring."""
    body = function.body
    first = body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    start = first.end_lineno + 1 if documented else first.lineno
    return function.end_lineno - start + 1


@each_file
def test_functions_are_short(path):
    """40 lines in the library, 60 in scripts, without signature and docstring."""
    limit = 40 if path in PACKAGE else 60
    for function in functions_of(path):
        assert code_lines(function) <= limit, f"{function.name}: {code_lines(function)} lines"


@each_module
def test_public_names_have_docstrings(path):
    """Modules, classes, functions and methods; a method may leave it to the one it implements."""
    tree = tree_of(path)
    assert ast.get_docstring(tree) or not tree.body, "module"
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        assert ast.get_docstring(node), node.name
        if isinstance(node, ast.FunctionDef):
            assert node.returns is not None, f"{node.name} does not say what it returns"


@each_module
def test_nothing_happens_at_import(path):
    """Definitions, imports and constants only."""
    allowed = (
        ast.Import,
        ast.ImportFrom,
        ast.FunctionDef,
        ast.ClassDef,
        ast.Assign,
        ast.AnnAssign,
        ast.If,
    )
    for node in tree_of(path).body:
        documentation = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        assert documentation or isinstance(node, allowed), f"line {node.lineno}"


def test_no_grab_bags():
    names = {path.stem for path in EVERYTHING}
    assert names.isdisjoint({"utils", "common", "helpers", "misc", "registry"})


def test_no_branching_on_the_type_of_a_process():
    for path in PACKAGE:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
                kinds = ast.unparse(node.args[1])
                for process in ("VP", "VE", "SubVP", "CosineVP", "OrnsteinUhlenbeck"):
                    assert process not in kinds.replace("(", " ").replace(",", " ").split(), path
