"""The documents: links lead somewhere, the picture is true, and the site needs nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from docs import architecture

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
# What a browser loads by itself.
_LOADED = re.compile(r'<(?:script|img|iframe|link)\b[^>]*?(?:src|href)="(?:https?:)?//[^"]*"')


def pages() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", [str(page.relative_to(ROOT)) for page in pages()])
def test_links_lead_somewhere(page: str) -> None:
    text = _CODE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    for target in _LINK.findall(text):
        if "://" not in target and not target.startswith("#"):
            assert ((ROOT / page).parent / target.split("#")[0]).exists(), target


def test_the_picture_of_the_rooms_is_true() -> None:
    assert architecture.TARGET.read_text(encoding="utf-8") == architecture.drawing(), (
        "the imports have changed: run `make docs`"
    )


def test_the_page_of_the_rooms_names_files_that_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    names = re.findall(r"`((?:indexer|search|cli|cxrdex|tests|docs)/[\w./-]+)`", text)
    assert len(names) > 30
    missing = [n for n in names if not any((ROOT / f"{n}{end}").exists() for end in ("", ".py"))]
    assert missing == []


def test_every_promise_names_a_test_that_exists() -> None:
    text = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    tests = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?(?:\[[^\]`]*\])?`", text)
    assert len(tests) == len(re.findall(r"`tests/", text)) > 100
    for file, name in tests:
        code = (ROOT / file).read_text(encoding="utf-8")
        assert not name or re.search(rf"^def {name}\(", code, re.MULTILINE), f"{file}::{name}"


def test_each_decision_has_a_number_of_its_own() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))
    numbers = [int(record.name[:4]) for record in records]
    assert len(set(numbers)) == len(numbers)
    headings = [int(record.read_text().split(".")[0].removeprefix("# ")) for record in records]
    assert headings == numbers


def test_the_site(tmp_path: Path) -> None:
    """Built strictly: a page, link or anchor that is missing ends it."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    html = sorted(tmp_path.rglob("*.html"))
    assert len(html) > 30
    assert [p.name for p in html if _LOADED.search(p.read_text(encoding="utf-8"))] == []


def test_hooks_are_the_checks() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    checks = re.search(r"^check:.*\n((?:\t.+\n)+)", makefile, re.MULTILINE)
    assert checks is not None
    commands = [line.strip().replace("$(BIN)", ".venv/bin") for line in checks[1].splitlines()]
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]] == commands


def test_the_workflow_calls_what_the_makefile_has() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    workflow = yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text(encoding="utf-8"))
    called = {
        word
        for job in workflow["jobs"].values()
        for step in job["steps"]
        for word in re.findall(r"make ([a-z-]+)", step.get("run", ""))
    }
    assert {"quick", "test"} <= called <= targets


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
