"""Hooks of the site: pages that live elsewhere, formulas as MathML, a check of the reference."""

import html
import importlib
import logging
import re
from pathlib import Path
from types import ModuleType
from typing import Any

from griffe import Extension, Module
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = ("experiments/README.md", "benchmarks/README.md")
PICTURE = "experiments/pictures/quickstart.png"
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)

log = logging.getLogger("mkdocs.hooks.site_pages")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the tables of results, with the files beside them that they link to."""
    files.append(File.generated(config, PICTURE, abs_src_path=str(ROOT / PICTURE)))
    for page in PAGES:
        files.append(File.generated(config, page, abs_src_path=str(ROOT / page)))
        text = (ROOT / page).read_text()
        for link in sorted(set(re.findall(r"\]\((?!http|\.\.|#)([^)#]+\.(?:png|gif|sh))\)", text))):
            name = f"{Path(page).parent}/{link}"
            files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Points links of these pages to pages of docs/, which is the root of the site."""
    return markdown.replace("](../docs/", "](../")


def on_page_content(text: str, page: Page, **_: object) -> str:
    """Renders formulas, which browsers show without a script, and checks pages of the reference."""
    if page.file.src_uri.startswith("api/"):
        _check_reference(page.title, text)
        text = re.sub(r"<p>::</p>|(?<=:):(?=</p>)", "", text)  # before a literal block

    def rendered(match: re.Match[str]) -> str:
        display = "block" if match[1] == "div" else "inline"
        return convert(html.unescape(match[2]).strip(), display=display)

    return FORMULA.sub(rendered, text)


def _check_reference(package: str, text: str) -> None:
    """Warns of each public name of a package that its page does not show or link to."""
    module = importlib.import_module(package)
    for name in getattr(module, "__all__", vars(module)):
        if name.startswith("_") or isinstance(getattr(module, name), ModuleType):
            continue
        if not re.search(rf'id="[a-z_.]*\.{name}"|<code>(sde_jax\.)?{name}</code>', text):
            log.warning(f"{package}.{name} is not on its page: has it a docstring?")


class Faces(Extension):
    """Every name that a package imports as itself is public."""

    def on_module(self, *, mod: Module, **_: Any) -> None:
        """Exports the imported names of a package that has no ``__all__``."""
        if mod.is_init_module and mod.exports is None:
            mod.exports = [name for name, member in mod.members.items() if member.is_alias]
