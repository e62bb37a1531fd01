"""Nothing of a header, a path or a picture's remarks comes out of the decoder, whatever happens.

Every secret is a random word, so that a search through all that comes out finds it wherever it is:
in the result as it is sent to another process, in errors with their causes, in log records of all
levels, in warnings, and in what decoders print.
"""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from indexer.archive.decoding import decode
from tests.archive.conftest import (
    PIXELS,
    SETTINGS,
    Secrets,
    Watch,
    laden,
    write_member,
)
from tests.archive.making import decode_member, make_dicom, to_bytes

if TYPE_CHECKING:
    pass

# What the allow-list keeps as it is, and the modality, which has a test of its own.
KEPT = frozenset({"Manufacturer", "Modality"})

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


# --- files that are read ---


@pytest.mark.parametrize(
    "syntax",
    [
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2.1.99",
        "1.2.840.10008.1.2.2",
        "1.2.840.10008.1.2.5",
        "1.2.840.10008.1.2.4.80",
        "1.2.840.10008.1.2.4.90",
    ],
)
def test_a_header_full_of_secrets(syntax: str, tmp_path: Path, watch: Watch) -> None:
    secrets = Secrets()
    data = to_bytes(laden(secrets), syntax)
    if syntax != "1.2.840.10008.1.2.1.99":
        assert len(secrets.found_in(data.lower())) == len(secrets.values) > 100
    folder = tmp_path / secrets.word()
    member = write_member(folder, f"{secrets.word()}/{secrets.uid()}/{secrets.word()}.dcm", data)
    ending, traces = watch(partial(decode_member, member, SETTINGS))
    assert ending == "done"
    assert secrets.found_in(traces) == []


def test_secrets_change_nothing_of_the_picture(watch: Watch) -> None:
    # Neither an overlay nor a text may be drawn into what is shown and indexed.
    pictures = []
    for dataset in (laden(Secrets()), make_dicom(PIXELS)):
        assert watch(partial(decode, to_bytes(dataset), "a.dcm", SETTINGS))[0] == "done"
        assert watch.image is not None
        pictures.append(watch.image)
    assert pictures[0].image_id == pictures[1].image_id
    assert pictures[0].thumbnail == pictures[1].thumbnail
    np.testing.assert_array_equal(pictures[0].canvas, pictures[1].canvas)


def test_overlays_in_unused_bits_are_not_drawn(watch: Watch) -> None:
    overlay = np.zeros_like(PIXELS)
    overlay[10:20, 5:35] = 1 << 12
    images = []
    for pixels in (PIXELS, PIXELS | overlay):
        dataset = make_dicom(pixels)
        dataset.add_new(0x60000100, "US", 16)
        dataset.add_new(0x60000102, "US", 12)
        assert watch(partial(decode, to_bytes(dataset), "a.dcm", SETTINGS))[0] == "done"
        assert watch.image is not None
        images.append(watch.image)
    np.testing.assert_array_equal(images[0].canvas, images[1].canvas)
    assert images[0].thumbnail == images[1].thumbnail


def all_tags() -> list[int]:
    from pydicom._dicom_dict import DicomDictionary
    from pydicom.datadict import keyword_for_tag

    return [
        tag
        for tag, (vr, *_) in DicomDictionary.items()
        if vr != "SQ"
        and tag >> 16 not in (0x0000, 0x0002, 0x7FE0, 0xFFFE)
        and tag & 0xFFFF  # group lengths are not written
        and keyword_for_tag(tag) not in KEPT
    ]


@pytest.mark.parametrize("nested", [False, True], ids=["top", "nested"])
def test_every_tag_of_the_standard(nested: bool, watch: Watch) -> None:
    """Words in all tags, also where numbers or dates belong; few at a time, so that none hides."""
    from pydicom.dataset import Dataset

    leaks: list[str] = []
    endings: dict[str, int] = {}

    def check(tags: list[int]) -> None:
        secrets = Secrets(tags[0])
        dataset = make_dicom(PIXELS)
        inner = Dataset()
        for tag in tags:
            (inner if nested else dataset).add_new(tag, "LO", secrets.word())
        if nested:
            dataset.AnatomicRegionSequence = dataset.ViewCodeSequence = [inner]
            del dataset.BodyPartExamined, dataset.ViewPosition
        # Implicit: the reader takes the VRs from the dictionary, and the words for dates.
        data = to_bytes(dataset, "1.2.840.10008.1.2")
        ending, traces = watch(partial(decode, data, "a.dcm", SETTINGS))
        leaks.extend(f"{tags}: {value}" for value in secrets.found_in(traces))
        if ending != "done" and len(tags) > 1:
            for half in (tags[: len(tags) // 2], tags[len(tags) // 2 :]):
                check(half)
        else:
            endings[ending] = endings.get(ending, 0) + len(tags)

    tags = all_tags()
    random.Random(1).shuffle(tags)
    for start in range(0, len(tags), 40):
        check(tags[start : start + 40])
    assert leaks == []
    assert sum(endings.values()) == len(tags) > 3000
    assert endings["done"] > 0.98 * len(tags), endings


# --- files that are left out ---


# --- plain pictures ---
