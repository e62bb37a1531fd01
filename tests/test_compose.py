"""The container image and docker-compose.yml, as far as they can be checked without Docker."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from cli.main import cxrdex
from search.web.people.users import Users

ROOT = Path(__file__).parents[1]
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def services() -> Any:
    return yaml.safe_load(COMPOSE)["services"]


def parsed(words: str, users: Path) -> click.Context:
    """A command line, read as the program in the container reads it."""
    name, *rest = shlex.split(words.replace(".config/cxrdex/users.json", str(users)))
    command: click.Command = cxrdex
    context = cxrdex.make_context("cxrdex", [name, *rest])
    while isinstance(command, click.Group):
        found, chosen, rest = command.resolve_command(context, [name, *rest])
        assert found is not None
        assert chosen is not None
        command = chosen
        name, rest = (rest[0], rest[1:]) if isinstance(command, click.Group) else (name, rest)
    return command.make_context(found, rest, parent=context)


def test_page_and_elasticsearch_start_together(services: Any, tmp_path: Path) -> None:
    Users(tmp_path / "users.json").add("ada", "administrator", None)
    page = services["page"]
    # What has a profile is not started by `docker compose up`.
    assert [name for name, one in services.items() if "profiles" not in one] == [
        "elasticsearch",
        "page",
    ]
    assert page["depends_on"] == {"elasticsearch": {"condition": "service_healthy"}}
    values = parsed(page["command"] + " --database /database", tmp_path / "users.json").params
    (port,) = page["ports"]
    assert port == f"127.0.0.1:{values['port']}:{values['port']}"
    assert values["host"] == "0.0.0.0"
    assert values["users"] == tmp_path / "users.json"
    assert f"http://127.0.0.1:{values['port']}/sign-in" in page["healthcheck"]["test"]


def test_what_is_told_to_be_typed_is_understood(services: Any, tmp_path: Path) -> None:
    told = re.findall(r"docker compose run --rm cxrdex (.*)", COMPOSE)
    assert [words.split()[0] for words in told] == ["index", "search", "user"]
    for words in told:
        more = "" if words.startswith("user") else " --database /database"
        words = words.replace("/archive", str(tmp_path))
        assert parsed(words + more, tmp_path / "users.json").command is not None
    assert services["cxrdex"]["profiles"] == ["cxrdex"]


def test_every_volume_is_declared_and_mounted_where_the_image_has_it(services: Any) -> None:
    declared = set(yaml.safe_load(COMPOSE)["volumes"])
    for one in services.values():
        for mount in one["volumes"]:
            source, place, *_ = mount.rsplit(":ro", 1)[0].rsplit(":", 1)
            assert source in declared or source.startswith("${")
            if source in ("database", "configuration"):
                assert re.search(rf"\s{re.escape(place)}(\s|$)", DOCKERFILE), place


def test_the_image_copies_what_is_there_and_installs_extras_that_are(services: Any) -> None:
    for sources in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.M):
        for source in sources.split():
            assert (ROOT / source).exists(), source
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (extras,) = re.findall(r"^ARG EXTRAS=(.+)$", DOCKERFILE, re.M)
    assert '".[$EXTRAS]"' in DOCKERFILE
    assert {"web"} <= set(extras.split(",")) <= set(project["optional-dependencies"])
    assert 'ENTRYPOINT ["cxrdex"]' in DOCKERFILE
    assert "cxrdex" in project["scripts"]
