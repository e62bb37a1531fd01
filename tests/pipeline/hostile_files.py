"""Files that are made to crash, hang or bloat what reads them, each kind mutated by a seed."""

from __future__ import annotations

import os
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from indexer.archive.decoding import DecodeSettings
from indexer.database.outcomes import Outcome
from indexer.pipeline.executor import FileTask, file_reader
from tests.archive.making import film, gdcm_encoded, make_dicom, make_picture, to_bytes

__all__ = ["KINDS", "MEMORY_FOLDER", "hostile_reader", "write_hostile_files"]

MEMORY_FOLDER = "CXRDEX_TEST_MEMORY"
HUGE = 60_000
_JPEG = "1.2.840.10008.1.2.4."

Rng = np.random.Generator


def _encapsulated(stream: bytes, uid: str, **attributes: Any) -> bytes:
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    dataset = make_dicom(film(96, 80), **attributes)
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = UID(uid)
    return to_bytes(dataset)


def _garbage(rng: Rng, count: int = 4000) -> bytes:
    return rng.integers(0, 256, count, dtype=np.uint8).tobytes()


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _deflated_zeros(count: int) -> bytes:
    """A part of a raw deflate stream that becomes so many zeros.

    One part is packed and then repeated, since packing all of them takes seconds.
    """
    part = 2**20
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    # After a full flush nothing refers to what stood before.
    once = packer.compress(bytes(part)) + packer.flush(zlib.Z_FULL_FLUSH)
    return once * (count // part) + packer.compress(bytes(count % part)) + packer.flush()


def _zlib_zeros(count: int) -> bytes:
    """A zlib stream of so many zeros."""
    # Of zeros the first sum stays 1, and the second counts them.
    checksum = count % 65_521 << 16 | 1
    return b"\x78\x01" + _deflated_zeros(count) + struct.pack(">I", checksum)


def png_bomb(rng: Rng) -> bytes:
    header = struct.pack(">IIBBBBB", HUGE, HUGE + int(rng.integers(1000)), 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(10**6))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", body)


def png_of_zeros(rng: Rng) -> bytes:
    """Few bytes, allowed by its size in pixels, but more memory than a worker may take."""
    rows, columns = 9000, 9000 + int(rng.integers(99))
    body = _zlib_zeros(rows * (1 + 2 * columns))
    header = struct.pack(">IIBBBBB", columns, rows, 16, 0, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def png_text_bomb(rng: Rng) -> bytes:
    png = make_picture(film(40, 40, bits=8), "PNG")
    text = b"note\0\0" + _zlib_zeros(10**8 + int(rng.integers(10**6)))
    return png[:33] + _chunk(b"zTXt", text) + png[33:]


def bmp_bomb(rng: Rng) -> bytes:
    data = bytearray(make_picture(film(8, 8, bits=8), "BMP"))
    data[18:26] = struct.pack("<II", HUGE, HUGE + int(rng.integers(1000)))
    return bytes(data)


def jpeg_bomb(rng: Rng) -> bytes:
    data = bytearray(make_picture(film(40, 40, bits=8), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65_000, 64_000 + int(rng.integers(1000)))
    return bytes(data)


def tiff_in_a_loop(rng: Rng) -> bytes:
    """Pages without end: the directory's successor is itself, or one of thousands."""
    pages = 200 + int(rng.integers(100))
    entry = struct.pack("<HHIHHIHHI", 256, 3, 1, 8, 0, 0, 0, 0, 0)[:12]
    body = b"".join(
        struct.pack("<H", 1) + entry + struct.pack("<I", 8 + 18 * ((n + 1) % pages))
        for n in range(pages)
    )
    return b"II*\0" + struct.pack("<I", 8) + body


def webp_cut(rng: Rng) -> bytes:
    data = make_picture(film(90, 90, bits=8), "WEBP")
    return data[: len(data) // 3 + int(rng.integers(50))]


def dicom_of_absurd_size(rng: Rng) -> bytes:
    dataset = make_dicom(film(40, 40))
    dataset.Rows, dataset.Columns = HUGE, HUGE + int(rng.integers(999))
    return to_bytes(dataset)


def deflated_bomb(rng: Rng) -> bytes:
    plain = to_bytes(make_dicom(film(24, 20)), "1.2.840.10008.1.2.1.99")
    end = 144 + int.from_bytes(plain[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = packer.compress(zlib.decompress(plain[end:], -zlib.MAX_WBITS))
    head += packer.flush(zlib.Z_FULL_FLUSH)
    return plain[:end] + head + _deflated_zeros(2**27 + int(rng.integers(2**20)))


def jpeg_2000_bomb(rng: Rng) -> bytes:
    stream = bytearray(make_picture(film(96, 80, bits=16), "JPEG2000", no_jp2=True))
    size = struct.pack(">II", HUGE, HUGE + int(rng.integers(999)))
    stream[8:16] = stream[24:32] = size
    return _encapsulated(bytes(stream), _JPEG + "90")


def jpeg_ls_bomb(rng: Rng) -> bytes:
    data = bytearray(to_bytes(make_dicom(film(96, 80)), _JPEG + "80"))
    at = data.index(b"\xff\xf7")
    data[at + 5 : at + 9] = struct.pack(">HH", 65_000, 64_000 + int(rng.integers(999)))
    return bytes(data)


def jpeg_2000_garbage(rng: Rng) -> bytes:
    stream = make_picture(film(96, 80, bits=16), "JPEG2000", no_jp2=True)
    return _encapsulated(stream[:40] + _garbage(rng) + b"\xff\xd9", _JPEG + "90")


def rle_garbage(rng: Rng) -> bytes:
    header = struct.pack("<16I", 2, 64, 2000, *[0] * 13)
    return _encapsulated(header + _garbage(rng, 400), "1.2.840.10008.1.2.5")


def jpeg_lossless_damaged(rng: Rng, folder: Path) -> bytes:
    """Tables that overlap: what ends gdcm's process."""
    data = gdcm_encoded(make_dicom(film(96, 80)), "JPEGLosslessProcess14_1", folder)
    scan = data.rindex(b"\xff\xc4")
    length = struct.pack(">H", 3 + int(rng.integers(12)))
    return data[: scan + 2] + length + data[scan + 4 :]


def nested_sequences(rng: Rng) -> bytes:
    """A sequence in a sequence, thousands of levels deep, without an end."""
    plain = to_bytes(make_dicom(film(24, 20)))
    at = plain.index(b"\x08\0\x60\0CS")
    level = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff"
    return plain[:at] + level * (3000 + int(rng.integers(2000)))


def endless_element(rng: Rng) -> bytes:
    plain = to_bytes(make_dicom(film(24, 20)))
    at = plain.index(b"\x10\0\x10\0PN")
    length = struct.pack("<I", 0xFFFFFF00 - 2 * int(rng.integers(99)))
    return plain[:at] + b"\x10\0\x10\0UT\0\0" + length + plain[at + 8 :]


def too_long(rng: Rng) -> bytes:
    """A hole of 80 MiB behind a DICOM header; written sparsely."""
    return to_bytes(make_dicom(film(24, 20)))[:200]


#: Name -> how many, maker, and the reasons it may end with.
KINDS: dict[str, tuple[int, Callable[..., bytes], set[str]]] = {
    "png_bomb": (12, png_bomb, {"too_large"}),
    "png_of_zeros": (3, png_of_zeros, {"too_large"}),
    "png_text_bomb": (8, png_text_bomb, {"undecodable_pixels"}),
    "bmp_bomb": (14, bmp_bomb, {"too_large"}),
    "jpeg_bomb": (14, jpeg_bomb, {"too_large"}),
    "tiff_in_a_loop": (12, tiff_in_a_loop, {"undecodable_pixels", "multi_frame"}),
    "webp_cut": (14, webp_cut, {"truncated"}),
    "dicom_of_absurd_size": (14, dicom_of_absurd_size, {"too_large"}),
    "deflated_bomb": (8, deflated_bomb, {"too_large"}),
    "jpeg_2000_bomb": (14, jpeg_2000_bomb, {"too_large"}),
    "jpeg_ls_bomb": (14, jpeg_ls_bomb, {"too_large"}),
    "jpeg_2000_garbage": (14, jpeg_2000_garbage, {"undecodable_pixels"}),
    "rle_garbage": (14, rle_garbage, {"undecodable_pixels"}),
    "jpeg_lossless_damaged": (12, jpeg_lossless_damaged, {"undecodable_pixels"}),
    "nested_sequences": (8, nested_sequences, {"not_dicom", "truncated"}),
    "endless_element": (14, endless_element, {"truncated"}),
    "too_long": (2, too_long, {"too_large"}),
    "zip_bomb": (2, too_long, {"too_large"}),
    # What no data is known to do to these decoders, by the hook of `hostile_reader`.
    "crash": (4, _garbage, {"decoder_crashed"}),
    "hang": (3, _garbage, {"timed_out"}),
}


def write_hostile_files(folder: Path, seed: int) -> dict[str, str]:
    """Write all kinds among other files below `folder`; gives the kind by file name."""
    names = {}
    for number, (kind, (count, make, _)) in enumerate(KINDS.items()):
        for index in range(count):
            rng = np.random.default_rng((seed, number, index))
            # Spread over the whole archive's order.
            name = f"{int(rng.integers(1800)):04d}-{kind}-{index}.bin"
            if kind == "zip_bomb":
                path = folder / f"{kind}{index}.zip"
                with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as z:
                    z.writestr(name, bytes(2**27))
                names[f"{kind}{index}.zip!/{name}"] = kind
                continue
            with open(folder / name, "wb") as file:
                file.write(make(rng, folder) if kind == "jpeg_lossless_damaged" else make(rng))
                if kind == "too_long":
                    file.truncate(80 * 2**20)
            names[name] = kind
    for left in ("native.dcm", "JPEGLosslessProcess14_1.dcm"):
        (folder / left).unlink()
    return names


def hostile_reader(settings: DecodeSettings) -> Callable[[FileTask], Outcome]:
    """As `file_reader`, but some names are orders, and each worker notes its peak of memory."""
    return partial(_read, settings)


def _read(settings: DecodeSettings, task: FileTask) -> Outcome:
    if "-crash-" in task.member.name:
        os.abort()
    if "-hang-" in task.member.name:
        time.sleep(1000)
    try:
        return file_reader(settings)(task)
    finally:
        # Not ru_maxrss, which a process inherits from the one that started it.
        status = Path("/proc/self/status").read_text().split()
        peak = status[status.index("VmHWM:") + 1]
        Path(os.environ[MEMORY_FOLDER], str(os.getpid())).write_text(peak)
