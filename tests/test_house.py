"""The house rules: short modules, small folders, no circle, few parameters, rooms kept apart."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

from indexer.cascade import runtimes
from indexer.cascade.bundle import Bundle

ROOT = Path(__file__).parents[1]
PACKAGES = ("cxrdex", "cli", "search", "indexer")
FOLDERS = (*PACKAGES, "tests", "benchmarks", "docs")
MAX_LINES, MAX_MODULES, MAX_PARAMETERS = 400, 12, 7

#: One script for each documented command `python -m benchmarks.NAME`.
SCRIPTS = frozenset({"benchmarks"})


def modules() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_modules_are_short() -> None:
    long = {module_name(p) for p in modules() if len(p.read_text().splitlines()) > MAX_LINES}
    assert long == set()


def test_folders_are_small() -> None:
    counts: dict[str, int] = {}
    for path in modules():
        if path.name != "__init__.py":
            folder = module_name(path.parent)
            counts[folder] = counts.get(folder, 0) + 1
    assert {name for name, count in counts.items() if count > MAX_MODULES} - SCRIPTS == set()


def wide_functions(path: Path) -> Iterator[str]:
    """Functions of too many parameters, but for public ones whose further ones are named."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        positional = [
            a.arg for a in (*node.args.posonlyargs, *node.args.args) if a.arg not in ("self", "cls")
        ]
        every = len(positional) + len(node.args.kwonlyargs)
        if every > MAX_PARAMETERS and (
            node.name.startswith("_") or len(positional) > MAX_PARAMETERS
        ):
            yield f"{module_name(path)}: {node.name}"


def test_functions_have_few_parameters() -> None:
    assert {f for path in modules() for f in wide_functions(path)} == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_says_what_it_is(package: str) -> None:
    for path in (ROOT / package).rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), module_name(path)


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)


def permitted(package: str) -> set[str]:
    """What the docstring of a folder says that it may import, with what its parents may."""
    path = ROOT.joinpath(*package.split("."), "__init__.py")
    if not path.exists():
        return set()
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    sentence = re.search(r"May import:([^;]+?)(?:;|\.$|\.\n)", text)
    assert sentence, f"{path}: the docstring says what lives there, and `May import: ...`."
    named = set(re.findall(r"`([\w.]+)`", sentence[1]))
    if " may" in sentence[1]:
        named |= {name for other in named for name in permitted(other)}
    parent, _, _ = package.rpartition(".")
    return named | (permitted(parent) if parent else set())


def test_every_folder_imports_what_it_says(graph: grimp.ImportGraph) -> None:
    common = {"indexer.advice", "indexer.errors", "indexer.annotation"} | {
        "indexer.inference_engine",
        "indexer.memory",
    }
    folders = {m for m in graph.modules if graph.find_children(m)}
    wrong = []
    for folder in sorted(folders - {"indexer"}):
        own = (graph.find_children(folder) | {folder}) - (folders - {folder})
        for module in own:
            for other in graph.find_modules_directly_imported_by(module):
                places = {folder, *permitted(folder), *common}
                if not any(f"{other}.".startswith(f"{place}.") for place in places):
                    wrong.append(f"{module} imports {other}: {folder}/__init__.py does not say so")
    assert wrong == []


def test_there_is_no_circle_of_imports(graph: grimp.ImportGraph) -> None:
    imports = {m: graph.find_modules_directly_imported_by(m) for m in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other: {' <- '.join(error.args[1])}")


def without_torch(code: str, *words: str | Path) -> None:
    """Run `code` in a process of its own, which must end without having imported torch."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nassert 'torch' not in sys.modules", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_word_search_imports_no_torch(tmp_path: Path, bundle: Bundle) -> None:
    """Reading and searching a database never does, where OpenVINO computes."""
    pytest.importorskip("openvino")
    # The first use of a bundle exports its network from torch into the cache.
    runtimes.load(bundle, "openvino")
    code = """
import os, sys
from pathlib import Path
from indexer.cascade.compute import Compute
from tests.pipeline.making import write_pictures
import cxrdex
home = Path(sys.argv[1])
os.environ["CXRDEX_KEY_FILE"] = str(home / "key")
if __name__ == "__main__":
    pictures = write_pictures(home / "pictures", 3)
    compute = Compute(runtime="openvino")
    assert cxrdex.index(pictures, home / "database", compute=compute, workers=1).done == 3
    with cxrdex.open(home / "database", compute=compute) as db:
        assert db.search("*").total == 3
        db.similar(db.embeddings().ids[0], k=2)
        db.similar(pictures / "000.png", k=2)
        db.frame()
    cxrdex.read(pictures / "000.png", compute=compute)
"""
    without_torch(code, tmp_path)
