"""Cues of denial and doubt, and statements that all is well, as data.

Patterns are regular expressions on lower-case text.
"""

from __future__ import annotations

__all__ = ["CUES", "NORMAL_STATEMENTS", "PART_OF_ANOTHER_EXAM", "PART_OF_THE_REPORT"]

# Statements that the whole chest, or what was looked for in it, is normal.
NORMAL_STATEMENTS = (
    r"no (?:evidence of |radiographic evidence of )?(?:acute|active|significant)\b"
    r"|(?:lungs?|chest|heart|mediastin\w+|silhouettes?|contours?|cardio\w*|examination|exam|study) "
    r"(?:\S+ ){0,5}(?:clear|normal|unremarkable|negative)\b"
    r"|(?:normal|unremarkable|negative|clear) (?:\S+ ){0,3}"
    r"(?:chest|lungs?|heart|mediastin\w+|silhouette|cardio\w*|exam\w*|study|radiographs?"
    r"|examination)"
    r"|within normal limits|^\W*(?:normal|negative|clear)\W*$|negative for acute"
)

# A heading over a part that describes another examination, and a heading that ends such a part.
_LIMB = (
    r"(?:(?:left|right|both|bilateral) )*(?:knees?|hips?|pelvis|femurs?|tibia|fibula|ankles?|foot"
    r"|feet|toes?|hands?|fingers?|wrists?|elbows?|forearms?|lumb(?:ar|osacral) spine|skull|sinuses)"
)
PART_OF_ANOTHER_EXAM = rf"{_LIMB}(?:(?:,? and |, ?|/){_LIMB})*(?: series| radiographs?)?(?::|\.?$)"
PART_OF_THE_REPORT = r"chest\b.{0,12}[:.]?$|(?:[a-z]+ ){0,3}[a-z]+:"

_SHOWN = (
    r"(?:seen|identified|visuali[sz]ed|visible|present|evident|apparent|demonstrated|noted|found"
    r"|appreciated|detected|observed|suspected|confirmed|shown|recogni[sz]ed)"
)
_BE = r"(?:is|are|was|were|has been|have been|had been)"
# Words after which a finding is present again: they end the reach of an earlier "no".
_ASSERTING = (
    r"(?:stable|unchanged|persistent|mild(?:ly)?|moderate(?:ly)?|minimal(?:ly)?|chronic|old|prior"
    r"|scattered|borderline|tortuous|degenerative|low|prominent|small|tiny|bibasilar|again|status"
    r"|residual|decreas\w+|increas\w+|improv\w+|worsen\w+|resolving|known|definite|calcified"
    r"|multiple|several|severe|bilateral|left|right|only)"
)
_INTENSIFIERS = (
    r"(?:significant|interval|appreciable|substantial|further|definite|major|gross|great)"
)
_END_OF_CLAUSE = r"(?=\s*(?:[.,;]|$|\b(?:but|and|given|based|in|on|at|as)\b))"
_PLACED = (
    "of",
    "in",
    "around",
    "within",
    "under",
    "behind",
    "above",
    "below",
    "on",
    "over",
    "near",
)
_NOT_WITHIN = "".join(rf"(?<!\b{word} )" for word in (*_PLACED, "along", "at", "from", "to"))
# In the order in which they are tried: kind and pattern. "before" stands before what it speaks of,
# "after" after it, "around" between two; "weak_stop" is none in a list that goes on with "or".
CUES: tuple[tuple[str, str], ...] = (
    (
        "nothing",
        rf"(?:no|without)(?: {_INTENSIFIERS})* (?:change|(?:increase|decrease|difference|worsening"
        r"|progression|improvement|growth|resolution|clearing)"
        r"(?= in\b| of\b| from\b| since\b|[,.;]|\s*$| to the\b))"
        r"|(?:no|without) enlargement of (?:the|this|these|known) (?:\w+ )?(?:nodule|mass|lesion"
        r"|opacit|effusion|pneumothora)\w*|(?:further|continued|some|early) clearing of"
        r"|not only|no more than|no doubt|without doubt|not necessarily|without difficulty"
        r"|(?:partly|partially|nearly|almost|incompletely|largely|mostly) (?:\w+ly )?(?:resolved"
        r"|cleared)"
        r"|(?:near(?:ly)?[- ]complete|partial|incomplete) (?:interval )?(?:resolution|clearing)"
        r"|(?:document|ensure|confirm|allow|until|verify|for|to) (?:\w+ )?(?:resolution|clearing)"
        r"|(?:which|that) (?:was|were|had been) (?:previously )?(?:seen|described|noted|present)"
        r"(?: (?:before|previously|earlier))?"
        r"|(?:versus|vs) (?:the |a )?(?:prior|previous|earlier|last|old)"
        rf"|not (?:\w+ly )?{_SHOWN} (?:on|in) (?:the |an? )?(?:previous|prior|last|earlier|outside)"
        rf"|not (?:\w+ly )?{_SHOWN} (?:previously|before|earlier)"
        r"|(?:most|strongly|highly) (?:suggestive of|compatible with|consistent with)"
        # A finding that fits the history is present.
        r"|(?:consistent|compatible) with (?:(?:the|a|an|patient's|known|reported|given) )*"
        r"history of",
    ),
    (
        "uncertain_after",
        r"(?:cannot|can not|can't|could not|may not) be (?:\w+ )?(?:excluded|ruled out|told"
        r"|distinguished|differentiated|separated)"
        rf"|{_BE} not (?:\w+ )?(?:excluded|ruled out)|not (?:\w+ly )?(?:excluded|ruled out)"
        r"|(?:is|are|remains?) (?:also )?(?:possible|questionable|doubtful|uncertain(?! whether)"
        r"|questioned|suspected|less likely|a possibility|a consideration|a concern)"
        r"|(?:may|might|could|can) (?:also )?(?:be present|produce|cause|have|give|explain"
        r"|account for)|(?:to|must|may|might|can) be considered"
        r"|(?:is|are|would be|could be|may be) (?:hard|difficult)"
        r"|(?:difficult|hard) to (?:\w+ )?exclude(?=\s*(?:[.;,]|$))"
        r"|not (?:as )?well[- ](?:seen|visuali[sz]ed|demonstrated|evaluated|assessed)|less likely"
        rf"{_END_OF_CLAUSE}|possible{_END_OF_CLAUSE}|should be considered"
        r"|if (?:clinically )?(?:suspected|indicated|present|any|appropriate)"
        r"|suspected(?=\s*(?:[.;,]|$))"
        # At the beginning of a sentence it speaks of what follows.
        r"|(?!^)in the (?:appropriate|proper|right|correct) clinical (?:setting|context)",
    ),
    (
        "negated_after",
        r"[:=?-] ?(?:none|nil|absent|neg(?:ative)?|(?:no?|0|false)(?=\s*(?:[.;](?!\d)|$)))"
        r"|,?0(?=\s*(?:[.;](?!\d)|$))|\((?:[-\u2013\u2212]|neg(?:ative)?|no|none|absent)\)(?=\W|$)"
        r"|(?:is|are) lacking"
        r"|(?:absent|neg(?:ative)?|no[nt]?(?: longer)? visible)(?=\s*(?:[.;,]|$))"
        r"|no(?=\s*(?:[.;]|$))"
        # A box that is not ticked, behind what it is for.
        r"|(?:\[ ?\]|[\u2610\u25a1\u25ab\u25fb\u25fd])(?=\s*(?:[.;,]|$))"
        r"|(?:nil|denied|(?:now |since |interval(?:ly)? )*removed)(?=\s*(?:[.;,]|$))"
        r"|(?:is|are) not a (?:feature|finding)"
        r"|within (?:the )?(?:limits of normal|normal limits)"
        rf"|(?:(?:(?:could|can|would|does|do|did|may|might) )?not|cannot|neither) (?:be )?"
        rf"(?:\w+ly )?{_SHOWN}"
        r"(?! (?:on|in) (?:the |an? )?(?:previous|prior|last|earlier|lateral|frontal|outside|_|xxxx"
        r"|\d)| (?:previously|before|earlier))"
        rf"|(?:,? (?:which|that) (?:is|are) )?no longer (?:be )?(?:\w+ly )?{_SHOWN}"
        r"|(?:has|have|had) not (?:re)?(?:developed|occurred|appeared|accumulated|curred)"
        r"|(?:,? (?:which|that) )?(?:has|have|had) "
        r"(?:(?:now|since|completely|entirely|fully|been) )*"
        r"(?:resolved|cleared|disappeared|drained|evacuated)"
        r"|(?:resolved|cleared|evacuated)(?=\s*(?:[.;,]|$))"
        r"|(?:is|are) (?:now |entirely |completely )*(?:absent|resolved|gone)"
        r"|(?:is|are|seems?|appears?) (?:(?:felt|thought|considered|deemed|to|be|very|highly) )*"
        r"unlikely(?! to)"
        rf"|unlikely{_END_OF_CLAUSE}"
        rf"|{_BE} (?:\w+ly |therefore |thus |also |now |been )?(?:ruled out|excluded|removed)"
        r"|removed(?= without)",
    ),
    (
        "uncertain_before",
        r"(?:(?:cannot|can not|can't|could not|does not|do not) (?:\w+ )?(?:exclude|rule out|tell"
        r"|distinguish|differentiate|separate)"
        r"|(?:difficult|hard) to (?:\w+ )?exclude"
        r"|(?:to )?(?:rule out|exclude)|r/o|evaluate for|assess for|question(?:able|ed| of)?"
        r"|correlat(?:e|ion) (?:\w+ )?for"
        r"|possib(?:le|ly)|possibility of|may|might|could|perhaps|maybe|suspicious for"
        r"|suspicion (?:of|for)"
        r"|suspect(?:ed)?|concern(?:ing)? for|worrisome for|doubtful|uncertain whether"
        r"|unclear whether"
        r"|differential|either|if|history of|h/o|query|equivocal"
        r"|to (?:identify|detect|look for)|detecting|sensitive (?:for|to|in)"
        r"|suggest(?:s|ed|ing|ive of|ion of)?|consider(?:ations?)?"
        r"|less likely|would include|potential(?:ly)?|versus|vs|favou?red over"
        r"|(?:prior|previous|old|remote|past|follow[- ]?up (?:of|for)|treat(?:ment|ed) (?:of|for))"
        r"(?= (?:\w+ ){0,3}pneumonia)"
        r"|in the (?:appropriate|proper|right|correct) clinical (?:setting|context)"
        r"(?:,? (?:this|these|it|findings?) (?:\w+ ){0,3}(?:consistent|compatible) with)?)"
        r"(?: (?:be )?(?:due to|secondary to|(?:compatible|consistent) with))?",
    ),
    (
        "negated_before",
        # A box that is not ticked.
        r"\[ ?\]|[\u2610\u25a1\u25ab\u25fb\u25fd]"
        r"|removal of|mimic(?:s|king)?|simulat(?:es?|ing)|no|not|cannot|without|neither|nor"
        r"|(?:negative|neg|unremarkable) for|free of|clear of|w/o|nil|zero|ø"
        r"|0(?= (?!(?:[cm]m|ml|cc|to|or|and|degrees?|days?|weeks?|months?|years?|hours?)\b)[a-z])"
        r"|(?:clear|free) from|absence of|little (?:evidence|sign|suggestion) (?:of|for)"
        r"|lack of|lacks|resolution of|clearing of|resolved|denies|unlikely|\w+n't"
        r"|fails? to (?:show|reveal|demonstrate)"
        r"|rather than|instead of|nothing|none|never|no longer|ruled out|exclud(?:es|ing)|absent"
        r"|devoid of|hardly any|scarcely any|false[- ]positive",
    ),
    (
        "stop",
        # A box that is ticked ends what one before it denies.
        r"\[ ?[x\u2713\u2714] ?\]|[\u2611\u2612\u2713\u2714\u25a0\u25fc]"
        r"|but(?! (?:is|are|was|were|has|have|not (?:\w+ )?excluded)\b)|however|although|though"
        r"|except|apart from"
        r"|aside from|other than|exception of|save for|besides"
        r"|despite|yet|while"
        r"|whereas|which|because|due to|secondary to|otherwise"
        # "An aneurysm of the aorta is not seen" has no new subject.
        rf"|{_NOT_WITHIN}the (?:left |right )?(?:lungs?|heart|bones?|aorta) (?:is|are|shows?"
        r"|appears?)"
        r"|, (?:and )?(?:there (?:is|are)|the|this|that|it|we)\b"
        rf"|and there (?:is|are)|(?<!that )(?<!whether )(?<!if )there (?:is|are)|{_BE} {_SHOWN}(?:,"
        r"| and)(?= )",
    ),
    # What a denied finding would be consistent with is denied too; doubt ends here.
    ("link", r"(?:consistent|compatible) with|in keeping with"),
    (
        "weak_stop",
        rf"(?:,|and|, and|with)(?= (?:a |an )?{_ASSERTING}\b)|and with"
        r"|(?:,|and|, and)(?= (?:the|an?)\b)"
        r"|(?:,|and|, and)(?= (?:\w+ ){1,3}(?:is|are|was|were|has|have|remains?)\b"
        rf"(?! {_SHOWN}))",
    ),
)
