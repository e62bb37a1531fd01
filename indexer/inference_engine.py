"""OpenVINO, imported with what computes alone."""

from __future__ import annotations

import importlib.util
import sys
import threading
from typing import Any

__all__ = ["is_available", "load_openvino"]

_LOCK = threading.Lock()
_CONVERTER = "openvino.tools.ovc"


def is_available() -> bool:
    """Whether OpenVINO is installed."""
    try:
        return importlib.util.find_spec("openvino") is not None
    except ValueError:
        # find_spec raises ValueError for a module that sys.modules marks as missing.
        return False


def load_openvino() -> Any:
    """The module `openvino`, without its converter, which takes half of the time of the import.

    Raises
    ------
    ImportError
        It is not installed.
    """
    with _LOCK:
        # OpenVINO reports its use to its maker when it is imported, unless this package is missing.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        # It leaves the converter out where that cannot be imported; whoever converts imports it.
        hidden = "openvino" not in sys.modules and _CONVERTER not in sys.modules
        if hidden:
            sys.modules[_CONVERTER] = None  # type: ignore[assignment]
        try:
            import openvino
        finally:
            if hidden:
                del sys.modules[_CONVERTER]
    return openvino
