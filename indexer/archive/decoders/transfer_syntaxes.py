"""Which plug-in decodes each DICOM transfer syntax: one is pinned, others stand in when it fails.

pydicom's own order is not the fastest, and depends on what happens to be installed. The order here
follows measured times on a 2500 x 2048 image. gdcm is left out for JPEG 2000: it is the same
openjpeg as in the others, but ends the process on damaged files. Only permissively licensed
plug-ins are used; JPEG other than the everyday 8-bit one, which pydicom leaves to a GPL plug-in,
has a module of its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from indexer.errors import FailedImage

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["DecoderStatus", "decode_pixels", "decoders", "prepare_pydicom"]

_JPEG = "1.2.840.10008.1.2.4."
# Transfer syntax -> plug-ins in the order they are tried; none: pydicom reads the values itself.
_PLUGINS: dict[str, tuple[str, ...]] = {
    "1.2.840.10008.1.2": (),
    "1.2.840.10008.1.2.1": (),
    "1.2.840.10008.1.2.1.99": (),
    "1.2.840.10008.1.2.2": (),
    "1.2.840.10008.1.2.5": ("pylibjpeg", "pydicom"),
    _JPEG + "50": ("pillow", "cxrdex"),
    _JPEG + "51": ("cxrdex", "pillow"),
    _JPEG + "57": ("cxrdex",),
    _JPEG + "70": ("cxrdex",),
    _JPEG + "80": ("pyjpegls",),
    _JPEG + "81": ("pyjpegls",),
    _JPEG + "90": ("pylibjpeg", "pillow"),
    _JPEG + "91": ("pylibjpeg", "pillow"),
    _JPEG + "201": ("pylibjpeg",),
    _JPEG + "202": ("pylibjpeg",),
    _JPEG + "203": ("pylibjpeg",),
}
# Their C and Rust parts print to the C stream, in lines that could not name the file anyway.
_NOISY = frozenset({"cxrdex", "pylibjpeg"})


@dataclass(frozen=True, slots=True)
class DecoderStatus:
    """How one transfer syntax is decoded here.

    Parameters
    ----------
    transfer_syntax, uid
        Name and UID of the transfer syntax.
    plugin
        The plug-in that is used; ``"built in"`` where none is needed, None where none is there.
    available
        Whether images of this transfer syntax can be read.
    """

    transfer_syntax: str
    uid: str
    plugin: str | None
    available: bool


def decoders() -> list[DecoderStatus]:
    """How each supported transfer syntax is decoded, in the order of the standard."""
    prepare_pydicom()
    from pydicom.uid import UID

    statuses = []
    for uid, wanted in _PLUGINS.items():
        found = _available(uid)
        plugin = (found[0] if found else None) if wanted else "built in"
        statuses.append(DecoderStatus(UID(uid).name, uid, plugin, plugin is not None))
    return statuses


def decode_pixels(dataset: Dataset, raw: bool) -> npt.NDArray[Any]:
    """Stored values of a single-frame image, by the first plug-in that can.

    Parameters
    ----------
    dataset
        A dataset with pixel data and file meta information.
    raw
        Leave the colour space as stored; else YBR is converted to RGB.

    Returns
    -------
    numpy.ndarray
        (rows, columns) or (rows, columns, 3).

    Raises
    ------
    FailedImage
        ``unsupported_transfer_syntax``, ``undecodable_pixels`` or ``contradictory_header``.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    uid = str(syntax)
    if uid not in _PLUGINS:
        name = syntax.name if syntax.name != uid else "a private one"
        raise FailedImage("unsupported_transfer_syntax", f"transfer syntax {name} is not supported")
    plugins = _available(uid)
    if _PLUGINS[uid] and not plugins:
        wanted = " or ".join(_PLUGINS[uid])
        raise FailedImage(
            "unsupported_transfer_syntax", f"{syntax.name} needs a decoder: install {wanted}"
        )
    from pydicom.pixels.utils import pixel_array

    causes = []
    for plugin in plugins or ("",):
        try:
            with _silenced_stderr(plugin in _NOISY):
                return pixel_array(dataset, raw=raw, decoding_plugin=plugin)
        except BaseException as error:
            # Codecs raise anything, and those in Rust panic past Exception; the next may cope.
            panic = type(error).__name__ == "PanicException"
            if isinstance(error, MemoryError) or not (panic or isinstance(error, Exception)):
                raise
            causes.append(f"{plugin or 'pydicom'}: {type(error).__name__}")
    if not plugins:
        depth, samples = int(dataset.BitsAllocated), int(dataset.SamplesPerPixel)
        raise FailedImage(
            "contradictory_header",
            f"{samples} samples of {depth} bits in its Photometric Interpretation cannot be read",
        )
    raise FailedImage(
        "undecodable_pixels", f"{syntax.name} pixel data is damaged ({', '.join(causes)})"
    )


@cache
def _available(uid: str) -> tuple[str, ...]:
    wanted = _PLUGINS[uid]
    if not wanted:
        return ()
    from pydicom.pixels.decoders.base import get_decoder

    decoder = get_decoder(uid)
    if "cxrdex" in wanted:
        decoder.add_plugin("cxrdex", ("indexer.archive.decoders.jpeg", "decode_frame"))
    return tuple(name for name in wanted if name in decoder.available_plugins)


@cache
def prepare_pydicom() -> None:
    """Import gdcm ahead of pydicom: silent, and blind to a folder `dl` in the working directory.

    gdcm's start-up tries to import the long-gone modules dl and DLFCN. Python takes any folder of
    that name for one, and the import of pydicom, which pulls gdcm in, then fails. To be called
    before the first import of pydicom.
    """
    absent = [name for name in ("dl", "DLFCN") if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        import gdcm
    except ImportError:
        return
    finally:
        for name in absent:
            del sys.modules[name]
    gdcm.Trace.DebugOff()
    gdcm.Trace.WarningOff()
    gdcm.Trace.ErrorOff()


@contextmanager
def _silenced_stderr(noisy: bool) -> Iterator[None]:
    if not noisy:
        yield
        return
    kept, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)
