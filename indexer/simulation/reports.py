"""Reports of simulated studies, as plain text."""

from __future__ import annotations

import numpy as np

from indexer.simulation.truth import SimulatedFinding

__all__ = ["report_text"]

_SENTENCES = {
    "opacity": (
        "There is a hazy opacity at the {side} lung base.",
        "Patchy airspace opacity in the {side} lower lobe.",
    ),
    "nodule": (
        "A small round nodule is seen in the {side} lung.",
        "Solitary pulmonary nodule on the {side}, well outlined.",
    ),
    "catheter": (
        "A {side} subclavian central venous catheter ends in the superior vena cava.",
        "Central line inserted from the {side}; its tip projects over the superior vena cava.",
    ),
    "effusion": (
        "The {side} costophrenic angle is blunted: pleural effusion with a meniscus.",
        "Small to moderate {side} pleural effusion.",
    ),
    "cardiomegaly": (
        "The heart is enlarged: cardiomegaly.",
        "Cardiomegaly; the cardiothoracic ratio is increased.",
    ),
}
_IMPRESSIONS = {
    "opacity": "Opacity at the {side} base.",
    "nodule": "Nodule in the {side} lung.",
    "catheter": "Central venous catheter in place.",
    "effusion": "Pleural effusion on the {side}.",
    "cardiomegaly": "Cardiomegaly.",
}
_MASSES = "Several round masses in both lungs, as in the radiograph this one was made from."


def report_text(
    number: int, findings: tuple[SimulatedFinding, ...], rng: np.random.Generator
) -> str:
    """The report of study `number`, which says that it is simulated."""
    sentences = [_SENTENCES[f.kind][rng.integers(2)].format(side=f.side) for f in findings]
    concluded = [_IMPRESSIONS[f.kind].format(side=f.side) for f in findings]
    return (
        f"SIMULATED REPORT {number}: it is about a simulated radiograph, not about a patient.\n\n"
        "INDICATION: Demonstration.\n\nCOMPARISON: None.\n\n"
        f"FINDINGS: {' '.join([*sentences, _MASSES])}\n\n"
        f"IMPRESSION: {' '.join([*concluded, 'Round masses in both lungs.'])}\n"
    )
