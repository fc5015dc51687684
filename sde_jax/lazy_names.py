"""Packages whose names are imported when they are first used."""

import ast
import importlib
import sys
from collections.abc import Callable
from typing import Any

Hooks = tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]


def lazy_names(package: str) -> Hooks:
    """Returns ``__all__``, ``__getattr__`` and ``__dir__`` of a package that imports its names
    for type checkers alone, below ``if TYPE_CHECKING:`` in its ``__init__.py``.

    A name is imported when it is first used (PEP 562). No module of the package may have it.
    """
    module = sys.modules[package]
    source = module.__spec__.loader.get_source(package)  # type: ignore[union-attr]
    homes = {
        alias.name: node.module
        for block in ast.parse(source).body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(homes[name]), name)
        setattr(module, name, value)
        return value

    return list(homes), get, lambda: sorted({*vars(module), *homes})
