"""What a process may have of memory, looked at before a CNN is loaded."""

from __future__ import annotations

import sys

from indexer.errors import MemoryLimitError

__all__ = ["check_memory_limit"]

#: Bytes of address space; OpenVINO and its libraries alone map more.
_MIN_ADDRESS_SPACE = 1 << 30


def check_memory_limit() -> None:
    """Refuse a process whose address space is too small to load a CNN.

    The libraries that compute it would end such a process themselves, without an error that could
    be caught (the C library's "cannot allocate memory for thread-local data: ABORT").

    Raises
    ------
    MemoryLimitError
        It is limited to less than 1 GiB.
    """
    if sys.platform == "win32":
        return
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < _MIN_ADDRESS_SPACE:
        raise MemoryLimitError(
            f"the address space of this process is limited to {limit >> 20} MiB, too little to "
            "load the CNN: raise the limit (ulimit -v unlimited)"
        )
