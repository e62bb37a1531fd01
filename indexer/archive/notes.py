"""What a reading says of itself: notes on a picture that was not taken as its header has it."""

from __future__ import annotations

__all__ = ["NOTES"]

#: Texts of notes, by their stable codes.
NOTES: dict[str, str] = {
    "encapsulation_mended": "the frame's delimiters or offsets are wrong; the picture is whole",
    "encoding_as_found": "its pixels are encoded otherwise than the transfer syntax says",
    "size_as_found": "rows and columns are those of the pixel data, not those of the header",
    "bits_as_found": "depth and samples are those of the pixel data, not those of the header",
    "bytes_swapped": "the bytes of its pixel values are the other way round than the header says",
    "sign_as_found": "its pixel values are signed otherwise than the header says",
    "further_frames_left_out": "more than one picture is in it; the first one is read",
    "frames_as_found": "its header speaks of several pictures, and one is in it",
    "modality_loosely_named": "its modality is no defined term; read as a radiograph",
    "tags_disagree": "the header names the chest and another part of the body",
    "lut_ignored": "a lookup table of its header is damaged or far too short; shown without it",
    "lut_completed": "a lookup table of its header is too short; its end stands for the rest",
    "window_ignored": "the window of its header hides most of the picture; shown without it",
    "padding_ignored": "its padding value would cover nearly all of the picture; shown without it",
    "shutter_ignored": "its shutter would cover nearly all of the picture; shown without it",
    "polarity_overridden": "black and white are as set for its manufacturer, not as in its header",
    "looks_inverted": "black and white look exchanged",
    "looks_saturated": "nearly all of the picture is black or white",
    "looks_like_noise": "neighbouring pixels have nothing in common: its encoding may be wrong",
    "looks_striped": "rows do not fit each other: its width may be wrong",
}
