"""A command at a terminal: a pair of devices of Unix, one end of which the tests hold."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Mapping, Sequence

__all__ = ["at_a_terminal"]

# Names for the terminal, which the tests' own may have set.
_NAMES = ("KITTY_WINDOW_ID", "TERM_PROGRAM", "TERM")


def at_a_terminal(
    words: Sequence[str], answers: Mapping[bytes, bytes], **names: str
) -> tuple[str, int]:
    """What a Python program writes to a terminal, and its exit code.

    Parameters
    ----------
    words
        Arguments of Python.
    answers
        What is typed, once, as soon as the program has written something.
    names
        Environment variables besides those of the tests.
    """
    import pty

    child, terminal = pty.fork()
    if child == 0:
        kept = {name: value for name, value in os.environ.items() if name not in _NAMES}
        os.execve(sys.executable, [sys.executable, *words], {**kept, "TERM": "xterm", **names})
    written = b""
    waiting = dict(answers)
    while select.select([terminal], [], [], 60)[0]:
        try:
            more = os.read(terminal, 65536)
        except OSError:
            break
        if not more:
            break
        written += more
        for question in [question for question in waiting if question in written]:
            os.write(terminal, waiting.pop(question))
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return written.decode(), os.waitstatus_to_exitcode(status)
