"""A server as people meet it: a process of its own, which they sign in to."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from indexer.simulation import Simulation
from search.web.people.person import ROLES, Role
from search.web.people.users import Users

__all__ = ["PASSWORD", "Site", "running_site"]

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Site:
    """A server that people sign in to, and the films that it has.

    Parameters
    ----------
    address
        Of the server, without a slash at the end.
    database
        Its database.
    film
        A DICOM file of the archive, with a finding in it.
    tokens
        By role, what programs of such a person send.
    """

    address: str
    database: Path
    film: Path
    tokens: Mapping[Role, str]

    @contextmanager
    def person(self, role: Role) -> Iterator[httpx2.Client]:
        """A program of a person of a role."""
        headers = {"authorization": f"Bearer {self.tokens[role]}"}
        with httpx2.Client(base_url=self.address, headers=headers, timeout=180) as client:
            yield client

    def asked(self, role: Role, address: str, **query: Any) -> Any:
        """The JSON of an address of the API, asked for without the browser."""
        with self.person(role) as client:
            answer = client.get(address, params=query)
            assert answer.status_code == 200, answer.text
            return answer.json()


@contextmanager
def running_site(database: Path, simulation: Simulation, folder: Path) -> Iterator[Site]:
    """A server over a copy of a database, with a person for each role, called like it.

    Parameters
    ----------
    database
        Of the simulated archive.
    folder
        Where copy, users and log are kept.
    """
    shutil.copytree(database, folder / "database")
    users = Users(folder / "users.json")
    tokens: dict[Role, str] = {}
    for role in ROLES:
        users.add(role, role, PASSWORD)
        tokens[role] = users.add_token(role)
    words = [sys.executable, "-m", "cli", "serve", "--port", "0", "--database"]
    words += [str(folder / "database"), "--users", str(folder / "users.json")]
    words += ["--request-rate", "0", "--upload-rate", "0", "--viewer", "https://v.example/{study}"]
    film = next(
        simulation.folder / file.name
        for file in simulation.files
        if file.outcome == "done" and file.findings and (simulation.folder / file.name).is_file()
    )
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert server.stdout is not None
        said = server.stdout.readline()
        assert "answers" in said, (said, (folder / "log").read_text())
        yield Site(said.split()[0].rstrip("/"), folder / "database", film, tokens)
    finally:
        server.terminate()
        server.wait(30)
        if server.stdout is not None:
            server.stdout.close()
    assert "Traceback" not in (folder / "log").read_text()
