"""Files that are no chest radiographs: of other modalities, and damaged ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from indexer.simulation.dicom_files import PixelEncoding, dicom_file
from indexer.simulation.film import expose
from indexer.simulation.packing import zipped
from indexer.simulation.radiograph import FilmPixels, data_folder
from indexer.simulation.studies import DX, image_header, make_uid, study_header
from indexer.simulation.truth import SimulatedFile, TrueOutcome

__all__ = ["other_files"]

# Too large to be worth their time: the same pictures follow in other encodings.
_LEFT_OUT = frozenset({"RG1_UNCI.dcm", "RG1_UNCR.dcm", "RG3_UNCI.dcm", "RG3_UNCR.dcm"})


def other_files(seed: int) -> Iterator[tuple[SimulatedFile, bytes]]:
    """What ``pydicom-data`` holds, of which only ``RG1`` shows a chest, and damaged files."""
    for path in sorted(data_folder().glob("*.dcm")):
        if path.name not in _LEFT_OUT:
            outcome: TrueOutcome = "done" if path.name.startswith("RG1_") else "left_out"
            yield SimulatedFile(f"other/pydicom-data/{path.name}", outcome), path.read_bytes()
    for name, data, outcome, reason in _damaged(seed):
        yield SimulatedFile(f"other/{name}", outcome, reason), data


def _damaged(seed: int) -> Iterator[tuple[str, bytes, TrueOutcome, str]]:
    film = expose(np.random.default_rng((seed, 0)), 512, 486)

    def made(
        name: str,
        syntax: str = "ExplicitVRLittleEndian",
        picture: FilmPixels = film,
        **tags: object,
    ) -> bytes:
        own = {"StudyInstanceUID": make_uid(seed, name), "PatientID": f"SIM {name}"}
        header = study_header(1, seed) | own | tags
        return dicom_file(picture, PixelEncoding(syntax), header | image_header(header, 1, 1))

    whole = made("truncated")
    yield "truncated.dcm", whole[: len(whole) * 3 // 5], "failed", "truncated"
    broken = made("wavelets", "JPEG2000Lossless").replace(b"\xff\x4f\xff\x51", bytes(4))
    yield "bad-codestream.dcm", broken, "failed", "undecodable_pixels"
    yield "blank.dcm", made("blank", picture=np.full_like(film, 0.5)), "failed", "blank_image"
    yield "empty.dcm", b"", "failed", "truncated"
    yield "notes.dcm", b"This is a text that somebody called .dcm.\n", "failed", "not_dicom"
    yield "readme.txt", b"A text beside the radiographs.\n", "skipped", "not_an_image"
    raw = made("raw", PresentationIntentType="FOR PROCESSING", SOPClassUID=f"{DX}.1")
    yield "raw.dcm", raw, "skipped", "raw_for_processing"
    hand = made("hand", BodyPartExamined="HAND", StudyDescription="SIMULATED HAND")
    yield "hand.dcm", hand, "skipped", "other_body_part"
    clip = made("clip", NumberOfFrames=3)
    yield "clip.dcm", clip, "skipped", "multi_frame"
    archive = zipped({"inside.dcm": whole})
    yield "damaged.zip", archive[: len(archive) // 2], "failed", "unreadable_file"
