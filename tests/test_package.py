"""What is shipped: the wheel, the pinned versions, and the public names of each module."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, PathDistribution, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = ("cli", "cxrdex", "indexer", "search")
LARGEST_WHEEL = 40_000_000
LINUX = {"sys_platform": "linux", "platform_machine": "x86_64", "extra": ""}
MAC = {"sys_platform": "darwin", "platform_machine": "arm64", "extra": ""}
# Written so that this file does not match; uv's options that leave these out are fine.
REGISTRY = re.compile(r"(?<!no-emit-)(?:index[-]url|find[-]links)|files[.]pythonhosted")


def files_in(*folders: str, pattern: str = "*.py") -> set[str]:
    found = (path for folder in folders for path in (ROOT / folder).rglob(pattern))
    return {path.relative_to(ROOT).as_posix() for path in found}


def requirements_of_project() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    return [r for r in map(Requirement, lines) if r.name != project["name"]]


# --- the wheel ---


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: setuptools leaves folders of its own where it builds."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    # Tests and benchmarks lie beside the packages, as they do in a checkout.
    for name in (*PACKAGES, "tests", "benchmarks"):
        ignored = shutil.ignore_patterns("__pycache__", ".*")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def distribution(wheel: Path, names: set[str]) -> PathDistribution:
    (record,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    return PathDistribution(zipfile.Path(wheel, record.removesuffix("METADATA")))


def test_the_wheel_has_every_module(names: set[str]) -> None:
    assert {name for name in names if name.endswith(".py")} == files_in(*PACKAGES)


@pytest.mark.parametrize(
    ("folders", "pattern"),
    [
        (PACKAGES, "py.typed"),
        (("indexer/database/ledger/migrations",), "*.sql"),
        (("indexer/cascade/bundles",), "bundle.json"),
        (("indexer/cascade/bundles",), "weights.safetensors"),
        (("indexer/words",), "chest.toml"),
        (("indexer/words",), "languages.toml"),
    ],
)
def test_the_wheel_has_what_is_no_module(
    folders: tuple[str, ...], pattern: str, names: set[str]
) -> None:
    wanted = files_in(*folders, pattern=pattern)
    assert len(wanted) >= len(folders)
    assert wanted <= names


def test_the_wheel_has_nothing_else(names: set[str]) -> None:
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    code, data = (".py", "/py.typed", ".sql"), (".json", ".toml", ".safetensors")
    kinds = (*code, *data, ".html", ".css", ".js", ".svg")
    assert [n for n in names if ".dist-info/" not in n and not n.endswith(kinds)] == []


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < LARGEST_WHEEL


def test_the_wheel_requires_its_packages_without_an_extra(distribution: PathDistribution) -> None:
    requirements = list(map(Requirement, distribution.requires or ()))

    def installed(platform: dict[str, str]) -> set[str]:
        return {r.name for r in requirements if r.marker is None or r.marker.evaluate(platform)}

    always = {"torch", "elasticsearch", "pydicom", "sentence-transformers", "click"}
    assert always <= {r.name for r in requirements if r.marker is None}
    assert installed(LINUX) & {"faiss-gpu", "faiss-cpu"} == {"faiss-gpu"}
    for elsewhere in (MAC, {**LINUX, "platform_machine": "aarch64"}):
        assert installed(elsewhere) & {"faiss-gpu", "faiss-cpu"} == {"faiss-cpu"}


def test_the_wheel_installs_one_command(distribution: PathDistribution) -> None:
    (command,) = distribution.entry_points
    assert (command.group, command.name) == ("console_scripts", "cxrdex")
    assert callable(command.load())


def test_the_wheel_tells_what_it_is(distribution: PathDistribution, names: set[str]) -> None:
    metadata = distribution.metadata
    assert metadata["Name"] == "cxrdex"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.strip() in str(metadata.get_payload())  # type: ignore[attr-defined]


# --- pinned versions ---


def test_every_dependency_is_pinned_to_a_version_that_fits() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins: dict[str, list[Requirement]] = {}
    for line in lines:
        if line.strip() and not line.lstrip().startswith("#"):
            pin = Requirement(line)
            pins.setdefault(canonicalize_name(pin.name), []).append(pin)
    for requirement in requirements_of_project():
        found = pins.get(canonicalize_name(requirement.name), [])
        assert found, f"constraints.txt does not pin {requirement.name}"
        for pin in found:
            (version,) = pin.specifier
            assert version.operator == "=="
            assert version.version in requirement.specifier, f"{pin}: {requirement} is asked for"


def test_constraints_name_no_host() -> None:
    assert "://" not in (ROOT / "constraints.txt").read_text(encoding="utf-8")


def test_no_file_names_a_registry() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    named = []
    for name in listed.stdout.decode().rstrip("\0").split("\0"):
        path = ROOT / name
        data = path.read_bytes() if path.is_file() else b""
        # A binary file is one with a zero byte near its start, as git has it.
        if b"\0" not in data[:8000] and REGISTRY.search(data.decode("utf-8", "replace")):
            named.append(name)
    assert named == []


# --- what the README's two commands install ---

CLUSTERS = {"ray", "dask", "distributed", "pyspark", "kubernetes", "mpi4py"}


def installed_with(extras: str) -> set[str]:
    """Names of all packages that `.[extras]` brings, those that packages need in turn included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    left, seen = [Requirement(f"{project['name']}[{extras}]")], set[tuple[str, str]]()
    while left:
        wanted = left.pop()
        for extra in ("", *wanted.extras):
            if (wanted.name, extra) in seen:
                continue
            seen.add((wanted.name, extra))
            if wanted.name == project["name"]:
                lines = (
                    project["optional-dependencies"][extra] if extra else project["dependencies"]
                )
            else:
                lines = needed_by(wanted.name)
            needed = map(Requirement, lines)
            left += [r for r in needed if r.marker is None or r.marker.evaluate({"extra": extra})]
    return {canonicalize_name(name) for name, _ in seen}


def needed_by(package: str) -> list[str]:
    try:
        return requires(package) or []
    except PackageNotFoundError:
        return []


def test_the_two_commands_install_no_ray_and_no_cluster() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    installed: set[str] = set()
    # `make test` also does what `make check` does, which needs no more.
    for target, needs in (
        ("demo", ".venv/demo"),
        ("test", ".venv/test check"),
        ("check", ".venv/test"),
    ):
        assert re.search(rf"^{target}: {needs}  ##", makefile, re.MULTILINE)
    for target in ("demo", "test"):
        assert re.search(rf"^make {target} ", readme, re.MULTILINE), f"README.md: make {target}"
        recipe = re.search(rf"^\.venv/{target}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
        assert recipe is not None
        (words,) = re.findall(r"\$\(INSTALL\)(.*)", recipe[1])
        extras = re.fullmatch(r" --editable '\.\[([a-z,]+)\]'", words)
        assert extras is not None
        installed |= installed_with(extras[1])
    # Those of the demo, of an extra that an extra names, and of a package.
    assert {"pydicom-data", "fastapi", "s3fs", "starlette", "filelock"} <= installed
    assert "ray" in installed_with("ray")
    assert installed & CLUSTERS == set()


# --- public names ---


@pytest.mark.parametrize("path", sorted(files_in(*PACKAGES)))
def test_public_names(path: str) -> None:
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    if path.endswith("__init__.py") and all(isinstance(node, ast.Expr) for node in body):
        return  # the file of a package that only says what the package holds
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    module = importlib.import_module(name)
    public: list[str] = module.__all__
    assert len(set(public)) == len(public)
    assert [key for key in public if not hasattr(module, key)] == []
