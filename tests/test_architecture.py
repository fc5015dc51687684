"""The rules of the layout: who imports whom, how large files, functions and folders may be."""

import ast
import functools
import importlib
import pathlib
import re
import types

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = sorted((ROOT / "sde_jax").rglob("*.py"))
EXPERIMENTS = sorted((ROOT / "experiments").rglob("*.py"))
BENCHMARKS = sorted((ROOT / "benchmarks").rglob("*.py"))
EVERYTHING = PACKAGE + EXPERIMENTS + BENCHMARKS

MATHEMATICS = {"arrays", "randomness", "sde", "score", "validation"}
LIBRARY = {
    "arrays": set(),
    "randomness": {"arrays", "sde"},
    "atomic": set(),
    "reporting": set(),
    "lines": set(),
    "lazy_names": set(),
    "cache_folder": set(),
    "arguments": {"validation"},
    "initialization": {"arrays"},
    "json_files": set(),
    "memory": {"arrays"},
    "numpy_files": {"memory"},
    "validation": set(),
    "sde": {"arrays", "validation"},
    "operators": {"arrays"},
    "ode": {"arrays", "sde", "validation"},
    "score": {"arrays", "initialization", "operators", "sde", "validation"},
    "objectives": MATHEMATICS,
    "sampling": MATHEMATICS | {"ode", "operators"},
    "likelihood": MATHEMATICS | {"ode"},
    "nets": {"arrays", "validation"},
    "data": {"arrays", "atomic", "cache_folder", "json_files", "lines", "memory"}
    | {"numpy_files", "operators", "reporting", "validation"},
    "metrics": {"arrays", "validation"},
    "figures": {"arrays", "atomic"},
    "array_figures": {"figures"},
    "posterior_figures": {"figures", "metrics"},
    "training": {"arrays", "randomness", "atomic", "json_files", "lines", "reporting", "data"}
    | {"validation"},
}
LIBRARY |= {"baselines": set(LIBRARY), "interop": set(LIBRARY)}
APPLICATION = ("recipes", "runs", "evaluation", "editing", "api", "command_line")
"""In order: each may import the library and those before it."""
MAY_IMPORT = LIBRARY | {
    name: {*LIBRARY, *APPLICATION[:place]} for place, name in enumerate(APPLICATION)
}
MAY_IMPORT["__main__"] = {"command_line"}
MAY_IMPORT["__init__"] = {"api", "likelihood", "ode", "sampling", "score", "sde"}
MAY_IMPORT = {name: {*parts, "lazy_names"} for name, parts in MAY_IMPORT.items()}

DEFINITIONS = (
    *("ring", "digits", "digits_others", "mnist", "mnist_narrow", "bits"),
    *("cifar10", "flowers", "fields", "tables", "simulators"),
)
IN_EXPERIMENTS = {
    **{name: set(DEFINITIONS[:place]) for place, name in enumerate(DEFINITIONS)},
    "studies": set(),
    "matching": {*DEFINITIONS, "studies"},
    "questions": {*DEFINITIONS, "studies"},
    "reproduction": {"studies"},
    "__main__": {"reproduction", "studies"},
    "__init__": set(),
}
FACES = {path.parent.name for path in (ROOT / "sde_jax").glob("*/__init__.py")}


@functools.cache
def tree_of(path):
    return ast.parse(path.read_text())


def name_of(path):
    return str(path.relative_to(ROOT))


def imports_of(path):
    """Dotted names of every module that ``path`` imports, wherever in the file."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import in line {node.lineno}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(path):
    """The first level of the tree that a module belongs to: ``sde``, ``runs``, ``studies``, ..."""
    return path.relative_to(ROOT).with_suffix("").parts[1]


def is_allowed(imported, part, graph):
    """Whether a module of ``part`` may import the dotted name, without its leading package."""
    allowed = graph[part] | ({part} if part != "__init__" else set())
    return any(imported == name or imported.startswith(f"{name}.") for name in allowed)


def test_imports_of_the_package_follow_the_graph():
    for path in PACKAGE:
        assert part_of(path) in MAY_IMPORT, f"{part_of(path)} has no place in the graph"
        for imported in imports_of(path):
            top, _, rest = imported.partition(".")
            assert top not in {"experiments", "benchmarks", "tests"}, f"{name_of(path)}: {imported}"
            if top == "sde_jax" and rest:
                allowed = rest == "__version__" or is_allowed(rest, part_of(path), MAY_IMPORT)
                assert allowed, f"{name_of(path)} must not import {imported}"


def test_imports_of_experiments_follow_the_graph():
    for path in EXPERIMENTS:
        assert part_of(path) in IN_EXPERIMENTS, f"{part_of(path)} has no place in the graph"
        for imported in imports_of(path):
            top, _, rest = imported.partition(".")
            assert top not in {"benchmarks", "tests"}, f"{name_of(path)}: {imported}"
            if top == "experiments":
                allowed = is_allowed(rest, part_of(path), IN_EXPERIMENTS)
                assert allowed, f"{name_of(path)} must not import {imported}"


def test_the_graph_can_refuse():
    refused = {
        "sde": "score.protocol.Score",
        "likelihood": "sampling",
        "nets": "sde.VP",
        "training": "nets.ddpm",
        "sampling": "score_sde.x",
        "interop": "baselines.vae",
        "recipes": "runs.catalogue",
        "runs": "evaluation.task",
        "editing": "command_line.parsing",
    }
    for part, imported in refused.items():
        assert not is_allowed(imported, part, MAY_IMPORT), part
    assert is_allowed("data.source.Batch", "training", MAY_IMPORT)
    assert is_allowed("nets.ddpm", "interop", MAY_IMPORT)
    assert is_allowed("runs.catalogue", "command_line", MAY_IMPORT)
    assert not is_allowed("mnist.mnist_vp", "digits", IN_EXPERIMENTS)
    assert is_allowed("digits.digits_vp", "mnist", IN_EXPERIMENTS)


def deep_imports(text):
    """Modules below the packages of ``sde_jax`` that Python text imports from."""
    found = re.findall(r"^\s*(?:from|import) (sde_jax(?:\.\w+)+)", text, re.MULTILINE)
    return [module for module in found if module.count(".") > 1]


def test_users_import_from_faces():
    """README, documentation, experiments and benchmarks, as users do, name no module inside."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    pages += sorted((ROOT / "docs").rglob("*.ipynb"))
    deep = {
        name_of(path): modules
        for path in [*pages, *EXPERIMENTS, *BENCHMARKS]
        if (modules := deep_imports(path.read_text()))
    }
    # The command that reproduces tables runs as the others do.
    command = deep.pop("experiments/__main__.py", [])
    assert {module.rpartition(".")[0] for module in command} <= {"sde_jax.command_line"}
    assert not deep
    assert deep_imports("from sde_jax.sde.base import LinearSDE") == ["sde_jax.sde.base"]


def test_every_face_names_what_it_exports():
    for name in sorted(FACES - {"command_line", "runs", "evaluation", "editing"}):
        face = importlib.import_module(f"sde_jax.{name}")
        assert face.__doc__, name
        for public in face.__all__:
            value = getattr(face, public)
            assert not isinstance(value, types.ModuleType), f"sde_jax.{name}.{public} is a module"
            ours = getattr(value, "__module__", "").startswith("sde_jax")
            documented = value.__doc__ or not (ours and callable(value))
            assert documented, f"sde_jax.{name}.{public} has no docstring"


def test_a_face_imports_each_name_as_itself():
    """So type checkers know that the name is public."""
    for name in FACES:
        face = tree_of(ROOT / "sde_jax" / name / "__init__.py")
        for block in (node for node in face.body if isinstance(node, ast.If)):
            for node in block.body:
                assert all(alias.asname == alias.name for alias in node.names), name


def test_no_name_of_a_face_is_that_of_a_module():
    """The module would take its place once it is imported."""
    for name in FACES:
        modules = {path.stem for path in (ROOT / "sde_jax" / name).iterdir()}
        assert modules.isdisjoint(
            getattr(importlib.import_module(f"sde_jax.{name}"), "__all__", ())
        )


def test_tensorflow_and_torch_are_imported_by_benchmarks_alone():
    for path in PACKAGE + EXPERIMENTS:
        for imported in imports_of(path):
            assert imported.partition(".")[0] not in {"tensorflow", "torch"}, name_of(path)


def test_files_are_short():
    assert not {name_of(p) for p in EVERYTHING if len(p.read_text().splitlines()) > 300}


def test_no_folder_holds_more_than_a_sixth_of_the_project():
    lines = {path: len(path.read_text().splitlines()) for path in EVERYTHING}
    folders = {}
    for path, count in lines.items():
        folder = path.parent if path.parent.parent != ROOT else path
        folders[folder] = folders.get(folder, 0) + count
    largest = max(folders, key=folders.get)
    assert folders[largest] <= sum(lines.values()) / 6, largest


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


def test_functions_are_short():
    """40 lines in the package, 60 in scripts, without signature and docstring."""
    for path in EVERYTHING:
        limit = 40 if path in PACKAGE else 60
        for function in functions_of(path):
            lines = code_lines(function)
            assert lines <= limit, f"{name_of(path)}: {function.name} has {lines} lines"


def test_public_names_have_docstrings():
    """Modules, classes, functions and methods; a method may leave it to the one it implements."""
    for path in PACKAGE:
        tree = tree_of(path)
        assert ast.get_docstring(tree) or not tree.body, name_of(path)
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
                continue
            assert ast.get_docstring(node), f"{name_of(path)}: {node.name}"
            if isinstance(node, ast.FunctionDef):
                assert node.returns is not None, f"{name_of(path)}: {node.name} has no return type"


def test_docstrings_say_what_is_returned():
    """None begins with a question word or an inversion; a study may ask its question."""
    riddle = re.compile(r"(What|How|Whether|That|Where|Why|Of|By|As) ")
    found = [
        f"{name_of(path)}:{getattr(node, 'lineno', 1)} {first}"
        for path in EVERYTHING
        if path.stem not in ("questions", "matching")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module)
        and riddle.match(first := (ast.get_docstring(node) or "").partition("\n")[0])
    ]
    assert not found, "\n".join(found)


def test_nothing_happens_at_import():
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
    for path in PACKAGE + EXPERIMENTS:
        for node in tree_of(path).body:
            documentation = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            assert documentation or isinstance(node, allowed), f"{name_of(path)}:{node.lineno}"


def test_no_grab_bags():
    names = {path.stem for path in EVERYTHING}
    assert names.isdisjoint({"utils", "common", "helpers", "misc", "registry"})


def test_no_branching_on_the_type_of_a_process():
    for path in PACKAGE:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
                kinds = ast.unparse(node.args[1])
                for process in (
                    "VP",
                    "VE",
                    "SubVP",
                    "CosineVP",
                    "OrnsteinUhlenbeck",
                    "FlowMatching",
                ):
                    assert process not in kinds.replace("(", " ").replace(",", " ").split(), path
