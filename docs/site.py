"""Hooks of mkdocs.yml: decisions in the menu, and files of the repository that pages link to."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

__all__ = ["on_config", "on_files", "on_page_markdown"]

DOCS = Path(__file__).parent
# Where files of the repository lie in the site.
_FOLDER = "repository"
_OUTSIDE = re.compile(r"\]\((?:\.\./)+([^)#\s]+)\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Every decision record gets its place in the menu, without a list that must be kept."""
    decisions = []
    for path in sorted((DOCS / "adr").glob("*.md")):
        title = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        decisions.append({title: f"adr/{path.name}"})
    assert config.nav is not None
    config.nav = [*config.nav, {"Decisions": decisions}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what pages link to outside of docs/."""
    for page in files.documentation_pages():
        for name in _OUTSIDE.findall(page.content_string):
            path = DOCS.parent / name
            if path.is_file() and files.get_file_from_path(f"{_FOLDER}/{name}") is None:
                files.append(File.generated(config, f"{_FOLDER}/{name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let those links lead into the site."""
    up = "../" * page.file.src_uri.count("/")
    return _OUTSIDE.sub(
        lambda match: (
            f"]({up}{_FOLDER}/{match[1]})" if (DOCS.parent / match[1]).is_file() else match[0]
        ),
        markdown,
    )
