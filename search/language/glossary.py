"""Findings in everyday words, for a sentence model that has read few radiology reports.

"Fluid around the lung" lies nearer to "lung, hypoinflation" than to "pleural effusion" in it, but
nearest to "fluid in the pleural space around the lung".
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["PLAIN", "in_plain_words"]

#: Everyday words by the disease of an annotation.
PLAIN: Mapping[str, str] = {
    "airspace disease": "air spaces of the lung filled with fluid or pus",
    "aorta tortuous": "winding main artery",
    "aorta, thoracic": "main artery in the chest",
    "arthritis": "worn or inflamed joint",
    "atherosclerosis": "hardened arteries",
    "bone diseases, metabolic": "thin weak bones, osteoporosis",
    "bronchiectasis": "widened airways",
    "calcified granuloma": "small old calcified scar of an infection",
    "calcinosis": "calcium deposits",
    "cardiac shadow": "outline of the heart",
    "cardiomegaly": "enlarged heart",
    "catheters, indwelling": "central venous line or catheter",
    "cicatrix": "scar tissue",
    "consolidation": "solid lung filled with fluid or pus",
    "diaphragmatic eventration": "raised bulging diaphragm",
    "emphysema": "destroyed lung tissue with trapped air, of a smoker",
    "foreign bodies": "object that does not belong in the body",
    "fractures, bone": "broken bone",
    "granulomatous disease": "old healed infection such as tuberculosis",
    "hernia, hiatal": "stomach bulging through the diaphragm",
    "implanted medical device": "pacemaker or other implanted device with wires",
    "kyphosis": "hunched back, spine bent forward",
    "lung diseases, interstitial": "scarred or inflamed tissue between the air sacs",
    "lung hyperdistention": "lungs blown up with too much air",
    "lung hypoinflation": "shallow breath, low lung volumes",
    "lung, hyperlucent": "lung that looks too dark",
    "lymphadenopathy": "swollen lymph nodes",
    "mass": "large lump or tumor",
    "medical device": "pacemaker or other device with wires",
    "nodule": "small round spot in the lung",
    "normal": "healthy chest, nothing wrong",
    "opacity": "white area, shadow in the lung",
    "osteophyte": "bone spur",
    "pericardial effusion": "fluid around the heart",
    "pleural effusion": "fluid in the pleural space around the lung",
    "pneumonia": "infection of the lung",
    "pneumoperitoneum": "free air under the diaphragm",
    "pneumothorax": "collapsed lung, air around the lung",
    "pulmonary atelectasis": "part of the lung without air, partly collapsed lung",
    "pulmonary congestion": "blood backing up in the lung vessels, heart failure",
    "pulmonary disease, chronic obstructive": "smoker's lung, COPD",
    "pulmonary edema": "water inside the lungs, heart failure",
    "pulmonary emphysema": "destroyed lung tissue with trapped air, of a smoker",
    "pulmonary fibrosis": "scarred stiff lungs",
    "scoliosis": "spine curved sideways",
    "spine degenerative": "worn spine, wear of the back bones",
    "spondylosis": "worn spine, wear of the back bones",
    "stents": "metal tube that holds a vessel open",
    "subcutaneous emphysema": "air under the skin",
    "surgical instruments": "clips, wires or staples of an operation",
    "technical quality of image unsatisfactory": "poor image, bad exposure",
    "thoracic vertebrae degenerative": "worn spine, wear of the back bones",
    "tube, inserted": "breathing or feeding tube",
    "tuberculosis": "lung infection TB",
}


def in_plain_words(annotation: str) -> str:
    """An annotation's text with its disease in everyday words; unchanged where there are none."""
    words = annotation.split(", ")
    # A disease may have a comma of its own: "hernia, hiatal".
    for end in range(len(words), 0, -1):
        plain = PLAIN.get(", ".join(words[:end]))
        if plain is not None:
            return ", ".join([plain, *words[end:]])
    return annotation
