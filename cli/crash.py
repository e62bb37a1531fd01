"""What becomes of an error that nobody foresaw: one line for the user, and a report for us.

The report says where in the code it happened, and with which versions. It holds no message of an
error, no argument and no value of a variable, as any of these may quote a header, a report or the
name of a file.
"""

from __future__ import annotations

import errno
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["EXIT_CODE", "message", "unforeseen"]

#: Exit code of an internal error (EX_SOFTWARE of sysexits.h).
EXIT_CODE = 70
_PACKAGES = (
    "cxrdex", "click", "elasticsearch", "faiss-cpu", "faiss-gpu", "imagecodecs", "numpy",
    "openvino", "pillow", "pydicom", "tantivy", "torch",
)  # fmt: skip


def unforeseen(error: BaseException) -> bool:
    """Whether an error is a defect: none that ends a process on purpose, or is a closed pipe."""
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        return False
    # A panic in Rust is no Exception.
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def message(error: BaseException, command: str) -> str:
    """One line for the user about an unforeseen error; writes the report that it names."""
    what = type(error).__name__
    if isinstance(error, MemoryError):
        what = "the memory is full"
    elif isinstance(error, OSError) and error.strerror:
        what = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    if limit := _address_space():
        what += f" (the address space is limited to {limit >> 20} MiB by ulimit -v)"
    report = _write("\n".join(_report(error, command)) + "\n")
    where = (
        f"a report that holds nothing of a patient is in {report}"
        if report
        else ("no report of it could be written")
    )
    return f"{command} came to an unforeseen end: {what}; {where}"


def _address_space() -> int | None:
    """Bytes that the process may map, where they are limited: what a library that is imported, or
    a thread that is started, fails for in words of its own."""
    if sys.platform == "win32":
        return None
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def _report(error: BaseException, command: str) -> Iterator[str]:
    yield f"command: {command}"
    yield f"time: {time.strftime('%Y-%m-%dT%H:%M:%S%z')}"
    yield f"python: {platform.python_version()} on {platform.system()} {platform.machine()}"
    for name in _PACKAGES:
        try:
            yield f"{name}: {version(name)}"
        except PackageNotFoundError:
            continue
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        number = f" (errno {cause.errno})" if isinstance(cause, OSError) else ""
        yield f"\n{type(cause).__module__}.{type(cause).__qualname__}{number}"
        for frame in traceback.extract_tb(cause.__traceback__):
            yield f"  {_place(frame.filename)}:{frame.lineno} {frame.name}: {frame.line or ''}"
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _place(filename: str) -> str:
    """A module's path from its package on: what stands before it may name the user."""
    for folder in sorted(map(os.path.abspath, filter(None, sys.path)), key=len, reverse=True):
        if filename.startswith(folder + os.sep):
            return filename[len(folder) + 1 :]
    return os.path.basename(filename)


def _write(text: str) -> Path | None:
    import platformdirs

    name = f"cxrdex-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    for folder in (platformdirs.user_log_path("cxrdex"), Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
        except OSError:
            continue
        return folder / name
    return None
