"""What a cascade can say: its findings, pairs of finding and qualifier, words, composite labels."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["END", "LabelSet"]

END = "<end>"


@dataclass(frozen=True, slots=True)
class LabelSet:
    """What a cascade learns to say.

    Parameters
    ----------
    findings
        Top-level terms, most frequent first; ``normal`` is one of them.
    pairs
        Findings with one qualifier, as ``(finding, qualifier)``.
    vocabulary
        Words of the annotator: `END`, then findings, then qualifiers.
    composites
        Composite labels, which are not mined but come of a training's feedback.
    """

    findings: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    vocabulary: tuple[str, ...]
    composites: tuple[str, ...] = ()

    @property
    def scored(self) -> int:
        """Number of labels that a CNN scores, in this order: findings, pairs, composites."""
        return len(self.findings) + len(self.pairs) + len(self.composites)
