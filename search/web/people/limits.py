"""How often someone may ask, and how long wrong passwords have to wait; bounded in memory."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["FailureDelay", "Rate", "client_network", "is_address"]

# At most this many callers are remembered; the one silent for longest is forgotten first.
_REMEMBERED = 10_000


def is_address(text: str) -> bool:
    """Whether it is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def client_network(address: str) -> str:
    """What counts as one caller: an IPv4 address, or the /64 that one machine has of IPv6."""
    if not is_address(address):
        return address
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))
    return address


class Rate:
    """A bucket for each caller, which a request takes one from and time fills.

    Parameters
    ----------
    per_minute
        How many requests a minute are let through, and how many at once; 0 for any number.
    clock
        Seconds that only grow.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = per_minute, clock
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, caller: str) -> float:
        """Take one; returns the seconds to wait where there is none, else 0."""
        if not self._most:
            return 0.0
        now = self._clock()
        with self._lock:
            left, then = self._left.pop(caller, (float(self._most), now))
            left = min(self._most, left + (now - then) * self._most / 60)
            takes = left >= 1
            self._left[caller] = left - takes, now
            while len(self._left) > _REMEMBERED:
                self._left.popitem(last=False)
        return 0.0 if takes else (1 - left) * 60 / self._most


class FailureDelay:
    """Longer and longer waits after failures.

    Parameters
    ----------
    free
        Failures that cost nothing; after those the wait is a second, and doubles each time.
    longest
        Seconds of the longest wait, and half of those after which failures are forgotten.
    clock
        Seconds that only grow.
    """

    def __init__(
        self, free: int, longest: float = 300.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._free, self._longest, self._clock = free, longest, clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def attempt(self, caller: str) -> float:
        """Begin a try; returns the seconds to wait where it is not let through yet, else 0.

        It counts as failed until `succeeded` is called, so that tries at once gain nothing.
        """
        now = self._clock()
        with self._lock:
            count, then = self._failures.get(caller, (0, now))
            if now - then > 2 * self._longest:
                count = 0
            pause = 2.0 ** min(count - self._free, 30) if count >= self._free else 0.0
            wait = then + min(self._longest, pause) - now
            if count and wait > 0:
                return wait
            self._failures[caller] = count + 1, now
            self._failures.move_to_end(caller)
            while len(self._failures) > _REMEMBERED:
                self._failures.popitem(last=False)
            return 0.0

    def succeeded(self, caller: str) -> None:
        """Forget the failures: the try was right."""
        with self._lock:
            self._failures.pop(caller, None)

    def excused(self, caller: str) -> None:
        """Take back one try, which was right, and leave the failures before it."""
        with self._lock:
            count, then = self._failures.get(caller, (0, 0.0))
            if count:
                self._failures[caller] = count - 1, then
