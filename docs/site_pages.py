"""Hooks of the site: pages that live elsewhere in the repository, and formulas as MathML."""

import html
import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = ("experiments/README.md", "benchmarks/README.md")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the tables of results, with the files beside them that they link to."""
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


def on_page_content(text: str, **_: object) -> str:
    """Renders formulas, which browsers show without a script."""

    def rendered(match: re.Match[str]) -> str:
        display = "block" if match[1] == "div" else "inline"
        return convert(html.unescape(match[2]).strip(), display=display)

    return FORMULA.sub(rendered, text)
