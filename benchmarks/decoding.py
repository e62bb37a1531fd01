"""What does reading a file cost a worker, by encoding?

    python -m benchmarks.decoding

Processor time per file from its bytes to checksum, canvas, id and thumbnail, beside a plain way to
do the same: pydicom's default decoder, numpy's percentiles, Pillow's resize. The files hold one
radiograph of 2,500 x 2,000 pixels with a detector's noise, the pictures 1,024 x 1,024.
"""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import pickle
import time
from collections.abc import Callable
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.record import write_result
from indexer.archive.decoding import DecodeSettings, decode
from indexer.simulation.dicom_files import PixelEncoding, dicom_file
from indexer.simulation.radiograph import radiograph

_KEY = bytes(range(32))
_ENCODINGS = {
    "uncompressed, 12 bits": PixelEncoding("ExplicitVRLittleEndian"),
    "JPEG 2000 lossless, 12 bits": PixelEncoding("JPEG2000Lossless"),
    "JPEG 2000 lossy, 12 bits": PixelEncoding("JPEG2000"),
    "JPEG lossless, 12 bits": PixelEncoding("JPEGLosslessSV1"),
    "JPEG-LS lossless, 12 bits": PixelEncoding("JPEGLSLossless"),
    "RLE, 12 bits": PixelEncoding("RLELossless"),
    "JPEG baseline, 8 bits": PixelEncoding("JPEGBaseline8Bit", 8),
    "JPEG extended, 12 bits": PixelEncoding("JPEGExtended12Bit"),
}
_HEADER: dict[str, object] = {
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1",
    "SOPInstanceUID": "1.2.3.4.5",
    "StudyInstanceUID": "1.2.3.4",
    "Modality": "CR",
    "BodyPartExamined": "CHEST",
    "RescaleSlope": "1",
    "RescaleIntercept": "0",
}


def _plain(data: bytes) -> npt.NDArray[np.uint8]:
    """Checksum, pixel hash, window, canvas and thumbnail, as one would write them first."""
    hashlib.sha256(data).hexdigest()
    inverted = False
    if data[128:132] == b"DICM":
        from pydicom import dcmread
        from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

        dataset = dcmread(io.BytesIO(data))
        stored = dataset.pixel_array
        values = apply_voi_lut(apply_modality_lut(stored, dataset), dataset)
        inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    else:
        stored = values = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
    hashlib.sha256(stored.tobytes()).hexdigest()
    low, high = np.percentile(values, (0.5, 99.5))
    grey = np.clip((values - low) / (high - low), 0, 1)
    picture = Image.fromarray(np.rint(255 * (1 - grey if inverted else grey)).astype(np.uint8))
    canvas = picture.resize((256, 256), Image.Resampling.BOX)
    picture.thumbnail((256, 256))
    picture.save(io.BytesIO(), "WEBP", quality=80)
    return np.asarray(canvas)


def _core_ms(work: Callable[[], object], rounds: int) -> float:
    work()
    times = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return round(min(times) * 1e3, 2)


def _files() -> dict[str, bytes]:
    film = np.array(radiograph(2500))[:, 150:2150]
    noise = np.random.default_rng(0).normal(0, 0.0025, film.shape)
    film = np.clip(film + noise, 0, 1)
    files = {name: dicom_file(film, how, _HEADER) for name, how in _ENCODINGS.items()}
    side = np.rint(np.array(radiograph(1100))[:1024, :1024] * 255).astype(np.uint8)
    whole = np.rint(film * 255).astype(np.uint8)
    for name, pixels, kind in (
        ("PNG 1,024 x 1,024", side, "PNG"),
        ("JPEG 1,024 x 1,024", side, "JPEG"),
        ("JPEG 2,000 x 2,500", whole, "JPEG"),
        ("PNG 2,000 x 2,500", whole, "PNG"),
    ):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, kind)
        files[name] = buffer.getvalue()
    return files


def _transport(answer: Any, rounds: int = 300) -> dict[str, float]:
    """Core-ms to hand one answer over: pickled through a pipe, and its canvas in shared memory."""
    ears, mouth = multiprocessing.Pipe(duplex=False)
    received: list[Any] = []

    def through_a_pipe() -> None:
        # A pipe holds 64 KiB: sent in parts that never block this one process.
        data = pickle.dumps(answer, protocol=5)
        for start in range(0, len(data), 32768):
            mouth.send_bytes(data[start : start + 32768])
            received.append(ears.recv_bytes())
        pickle.loads(b"".join(received))
        received.clear()

    block = SharedMemory(create=True, size=answer.canvas.nbytes)

    def through_shared_memory() -> None:
        shared: npt.NDArray[np.uint8] = np.ndarray(answer.canvas.shape, np.uint8, block.buf)
        shared[:] = answer.canvas
        shared.copy()

    try:
        return {
            "pickled_through_a_pipe": _core_ms(through_a_pipe, rounds),
            "canvas_in_shared_memory": _core_ms(through_shared_memory, rounds),
        }
    finally:
        block.close()
        block.unlink()


@click.command()
@click.option("--rounds", default=5, help="The fastest of so many counts.")
def main(rounds: int) -> None:
    """Print and keep the times."""
    settings = DecodeSettings(key=_KEY)
    full = DecodeSettings(key=_KEY, reduce=False)
    results = {}
    for name, data in _files().items():

        def read(how: DecodeSettings, data: bytes = data) -> Any:
            hashlib.sha256(data).hexdigest()
            return decode(data, "a", how)

        answer, whole = read(settings), read(full)
        apart = np.abs(answer.canvas.astype(int) - whole.canvas)
        plain = _core_ms(lambda data=data: _plain(data), rounds)  # type: ignore[misc]
        ours = _core_ms(lambda read=read: read(settings), rounds)  # type: ignore[misc]
        results[name] = {
            "bytes": len(data),
            "plain_core_ms": plain,
            "core_ms": ours,
            "without_reducing_core_ms": _core_ms(lambda read=read: read(full), rounds),  # type: ignore[misc]
            "times_faster": round(plain / ours, 1),
            "canvas_levels_apart_mean": round(float(apart.mean()), 3),
            "canvas_over_one_level_apart": round(float((apart > 1).mean()), 5),
        }
        click.echo(f"{name}: {results[name]}", err=True)
    write_result(
        "decoding",
        {
            "command": "python -m benchmarks.decoding",
            "files": results,
            "handing_over_core_ms": _transport(answer),
        },
    )


if __name__ == "__main__":
    main()
