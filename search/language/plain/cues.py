"""Words that say how the parts of a free text belong together, and what stands for what in it.

The cues of denial and doubt follow NegEx (Chapman et al., J Biomed Inform 34, 2001) and ConText
(Harkema et al., J Biomed Inform 42, 2009), as far as people use them in queries.
"""

from __future__ import annotations

import re

__all__ = ["CUES", "FILLERS", "REASONS", "SHORTHAND"]


def _split(words: str) -> tuple[str, ...]:
    """What stands between bars, without regard to lines."""
    return tuple(" ".join(word.split()) for word in words.split("|"))


# The picture as a whole.
_WHOLE = r"(?:chest|cxr|films?|x-?rays?|stud(?:y|ies)|exams?|images?|radiographs?)s?\b"

_RIGHT, _LEFT = r"r(?:ight|t)?", r"l(?:eft|t)?"
_MORE = r"(?:>+|(?:is\s+)?(?:greater|larger|more|worse)\s+than)"
_DEGREE = r"(?:small|mild|minimal|trace|tiny|moderate|mod|severe|large|marked)"

#: Spellings that are no words: replaced before anything is read.
SHORTHAND: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), plain)
    for pattern, plain in (
        (r"[‘’ʼ´`]", "'"),
        (r"\bw/?/?o(?:ut)?(?=[\s,.]|$)", " without "),
        (r"\bw/\s*o\b", " without "),
        (r"\bw/(?=\s|\w)", " with "),
        (r"\bs\s?/\s?p\b", " status post "),
        (r"\be\s?/\s?o\b", " evidence of "),
        (r"♀", " female "),
        (r"♂", " male "),
        # A full stop behind an abbreviation ends no thought.
        (r"\b(rt|lt|bil|bilat|sup|inf|ant|lat)\.(?=\s)", r"\1 "),
        (r"(?<![\w.])r\.(?=\s+\w)", " right "),
        (r"(?<![\w.])l\.(?=\s+\w)", " left "),
        (r"\bbil\b", " bilateral "),
        (r"\br\s?/\s?o\b", " rule out "),
        (r"\bh\s?/\s?o\b", " history of "),
        (r"\b[pc]\s?/\s?w\b|\b(?:consistent|compatible)\s+with\b", " with "),
        (r"\bb\s?/\s?l\b", " bilateral "),
        (r"\band\s?/\s?or\b", " or "),
        (r"\+\s?/\s?-|±|\bwith or without\b", " plus or minus "),
        (r"\bvs?\.?(?=\s)|\bversus\b", " vs "),
        (r"&+|(?<=\s)\+(?=\s)", " and "),
        (r"\|+", " or "),
        (r"(?:(?<=\s)|^)[!¬]\s*(?=\w)", " not "),
        # A dash between blanks parts two thoughts; one right before a word denies it.
        (r"(?<=[^\s–—−-])\s+[-–—−]+\s+(?=\w)", " , "),
        (r"(?:(?<=\s)|^)[–—−]\s*(?=[^\W\d])", " not "),
        (r"(?:(?<=\s)|^)\?\s*(?=\w)", " query "),
        (rf"\b{_RIGHT}\s*{_MORE}\s*{_LEFT}\b|\b{_LEFT}\s*{_MORE}\s*{_RIGHT}\b", " bilateral "),
        (rf"\b({_DEGREE})(?:\s+to\s+|-to-|\s?[-/]\s?)({_DEGREE})\b", r" \1 or \2 "),
        (
            r"\b(right|left)\s+(upper|middle|lower)\s+and\s+(upper|middle|lower)\s+lobes?\b",
            r" \1 \2 lobe and \1 \3 lobe ",
        ),
        (r"\bw(?=\s+\w)", " with "),
        # Abbreviations of parts of terms.
        (r"\bfx'?s?\b", "fracture"),
        (r"\batx\b", "atelectasis"),
        (r"\b(?:nl|nml|nrml)\b", "normal"),
        (
            r"(?<=hilar )lad\b|(?<=mediastinal )lad\b|(?<=axillary )lad\b|(?<=paratracheal )lad\b",
            "lymphadenopathy",
        ),
        (r"\bunilateral\b", " left or right "),
        (r"\bcardiopulm\b", "cardiopulmonary"),
        (r"\bpulm\b\.?", "pulmonary"),
        (r"\bpulmonary\s+htn\b", "pulmonary hypertension"),
        (r"\bvasc\b\.?", "vascular"),
        (r"\bmediast\b\.?", "mediastinal"),
        (r"\bmod\b\.?", "moderate"),
        (r"\bsm\b\.?", "small"),
        (r"\blg\b\.?", "large"),
        (r"\bdz\b", "disease"),
        (r"\bmet\s+disease\b", "metastatic disease"),
        (r"\b(?:sub-?q|sq)\b(?=\s+(?:air|gas|emphysema))", "subcutaneous"),
        (r"\beffs?\b\.?", "effusion"),
        (r"\bconsol\b\.?", "consolidation"),
        (r"\binfilt?\b\.?", "infiltrate"),
        (r"\bcardiomeg\b\.?", "cardiomegaly"),
        (r"\batelect\b\.?", "atelectasis"),
        (r"\b(lung|breast|colon|renal|prostate|thyroid|bladder|esophageal)\s+ca\b", r"\1 cancer"),
        (r"\bca\s+(?:of\s+(?:the\s+)?)?(lung|breast|colon|prostate)\b", r"\1 cancer"),
        (r"(?<=bilat )LL\b|(?<=bilateral )LL\b|(?<=bilateral  )LL\b", "lower lobe"),
        (r"\bneg(?=\s+(?:chest|cxr|film|study|exam))", "negative"),
        (r"\bcan'?t\b|\bcannot\b", "can not"),
        (r"n't\b", " not"),
        # Words that sound like a denial and are none, then one that is a denial in other words.
        (
            r"\bnot\s+(?:only|just|merely|simply)\b|\b(?:no|without(?:\s+a)?|beyond(?:\s+a)?)\s+doubt\b"
            r"|\bnothing\s+(?:but|except|other\s+than)\b",
            " ",
        ),
        (r"\b(?:anything|everything|all|any)\s+(?:but|except|other\s+than)\b", " not "),
        (r"\b(?!disease)(\w+)-free\b", r" not \1 "),
        (
            r"\b(?:no|without)\s+(?:(?:any|significant|interval|further)\s+)*changes?(?:\s+(?:in|of)\b)?",
            " unchanged ",
        ),
        (
            r"\b(?:no|without)\s+(?:(?:any|significant|interval|further)\s+)*"
            r"(increase|decrease|worsening|progression|improvement|enlargement|growth)"
            r"\s+(?:in|of)\s+([^,;.]+)",
            r" \2 without \1 ",
        ),
        # In a denial these add nothing.
        (
            r"\b(no|without)\s+(?:(?:any|significant|obvious|overt|apparent|definite|evident|gross"
            r"|appreciable|demonstrable|discernible|convincing|visible|radiographic|radiological"
            r"|clear|clear-cut|frank)\s+)+(?=\w)",
            r" \1 ",
        ),
        (r"\bø\s*(?=\w)", " no "),
        (r"\bnad\b|\bnothing\s+abnormal(?:\s+detected)?\b", " no acute findings "),
        (r"\b(?:[sd]/t|2/2)(?=\s)", " due to "),
        (r"\bs\.?p\.?(?=\s+\w)|\bstatus[- ]post\b", " status post "),
        (r"\bpost[- ]?op(?:erative)?\s+day\s*#?(\d+)|\bpod\s*#?(\d+)", r" post-op day \1\2 "),
        (
            r"\bnon-?\s?(?=calcified|displaced|specific|loculated|obstruct|smok|diabet|hypertens)",
            " non ",
        ),
        (r"\bnormals\b", "normal"),
        (
            r"\b(?:no|without|neg(?:ative)? for)\s+(?:any\s+|evidence\s+of\s+)*"
            r"(?:acute|active|significant)\s+"
            r"(?:(?:cardio\w*|pulmonary|chest|lung|intra-?thoracic|thoracic)\s+)*"
            r"(?:abnormalit(?:y|ies)|process(?:es)?|diseases?|findings?|patholog(?:y|ies))\b"
            r"|\b(?:no|without|free\s+of)\s+(?:any\s+)?(?:abnormalit(?:y|ies)|patholog(?:y|ies)"
            r"|abnormal\s+findings?)\b|\bdisease[- ]free\b"
            r"|^\W*(?:no|without|free\s+of)\s+(?:any\s+)?(?:(?:lung|chest|pulmonary)\s+)?diseases?\W*$",
            " no acute findings ",
        ),
        (
            r"\bborderline\s+(?:enlarged\s+)?(?:heart|cardiac)(?:\s+(?:size|silhouette))?\b"
            r"|\b(?:heart|cardiac)(?:\s+(?:size|silhouette))?\s+(?:is\s+)?borderline"
            r"(?:\s+enlarged|\s+in\s+size)?\b"
            r"|\b(?:heart|cardiac)(?:\s+(?:size|silhouette|shadow))?\s+(?:is\s+)?(?:at\s+)?(?:the\s+)?upper"
            r"(?:\s+limits?\s+of)?\s+normal\b",
            " borderline cardiomegaly ",
        ),
        (rf"\babnormals?\b(?=\s*(?:{_WHOLE})|\W*$)", " not normal "),
        (rf"\b(?:{_WHOLE})\W+(?:is |are )?abnormal\b", " not normal "),
        (r"\blungs?\s+(?:are |is )?not\s+clear\b|^\W*(?:is\s+)?not\s+clear\W*$", " not normal "),
        (
            r"^\W*(?:(?:any|some|with|has|have|an?)\s+)*(?:abnormalit(?:y|ies)"
            rf"|(?:something|anything)\s+abnormal|patholog(?:y|ies|ic|ical)(?:\s+{_WHOLE})?)\W*$",
            " not normal ",
        ),
        (r"\bboth\s+lungs?\s+(?:are )?clear\b|\blungs?\s+(?:are )?both\s+clear\b", " normal "),
        (
            r"\bnormal(?:[- ]sized?)?\s+(?:heart|cardiac|cardiomediastinal)"
            r"(?:\s+(?:size|silhouette|contours?))?\b"
            r"|\b(?:heart|cardiac\s+(?:size|silhouette|shadow))(?:\s+size)?\s*:?\s*(?:is )?"
            r"(?:normal|wnl|unremarkable|within\s+normal\s+limits)\b"
            r"|\b(?:heart|cardiac silhouette)(?:\s+size)?\s+(?:is )?(?:not|un)\s?enlarged\b",
            " not cardiomegaly ",
        ),
        # A letter for a side, in capitals or before a hyphen.
        (r"(?-i:\bR\b\.?)(?=[- ]*(?:sided\b|[^\W\d]{2})|\s*(?:[,;]|$))(?![/'])", " right "),
        (r"(?-i:\bL\b\.?)(?=[- ]*(?:sided\b|[^\W\d]{2})|\s*(?:[,;]|$))(?![/'])", " left "),
        (r"[- ]sided\b", " "),
        (
            r"(?<!status )\bpost-?\s?"
            r"(?=cabg|sternotomy|mastectomy|lobectomy|pneumonectomy|thoracotomy|pacemaker|stent"
            r"|valve|transplant|bypass|(?:\w+\s+){1,3}(?:placement|insertion|removal|repair"
            r"|replacement|resection|implantation|surgery)\b)",
            " status post ",
        ),
    )
)

#: Kind of cue: its words. ``not``, ``doubt``, ``gone``, ``asked`` and ``past`` hold for what
#: follows, those that end in ``_before`` for what stands before; ``in`` begins a place.
CUES: dict[str, tuple[str, ...]] = {
    "not": _split(
        """
        no evidence of | no evidence for | no sign of | no signs of | without evidence of |
        absence of | lack of | lacks | lacking | negative for | neg for | free of | free from |
        clear of | denies | excluding | excludes | exclude | except for | except | other than |
        rather than | apart from | neither | never | minus | sans | without | does not have | do
        not have | did not have | not having | does not show | not showing | can not see | no
        longer | not | no | non | absent | none | nil | zero | none of | no such thing as |
        unlikely to be | instead of | as opposed to | aside from | save for | devoid of |
        exclusive of | fails to show | failed to show | does not demonstrate | no suggestion of |
        no suspicion of | no concern for
        """
    ),
    "not_before": _split(
        """
        ruled out | excluded | is absent | absent | is negative | negative | not seen | not
        present | not found | not identified | not there | is not seen | not visible | neg |
        unlikely | is unlikely | are unlikely | very unlikely | not demonstrated | not shown | not
        detected | not evident | not apparent | no longer seen | no longer present | no longer
        visible | no longer there | no longer identified | is no longer seen | are no longer seen
        | is no longer present | not visualized | not visualised | not appreciated
        """
    ),
    "doubt": _split(
        """
        possible | possibly | probable | probably | likely | suspected | suspicious for |
        suspicion of | suspicion for | questionable | question of | equivocal | concern for |
        concerning for | worrisome for | may be | maybe | might be | could be | may represent |
        might represent | could represent | may reflect | might reflect | could reflect | presumed
        | can not exclude | can not rule out | could not exclude | could not rule out | not ruling
        out | not excluding | less likely | uncertain
        """
    ),
    "doubt_before": _split(
        """
        not excluded | is not excluded | are not excluded | not ruled out | is not ruled out | can
        not be excluded | can not be ruled out | can not be entirely excluded | not entirely
        excluded | not completely excluded | could not be excluded | could not be ruled out | is
        possible | are possible | is suspected | are suspected | is likely | are likely | is
        probable | is questionable | is uncertain
        """
    ),
    "gone": _split(
        """
        resolution of | interval resolution of | complete resolution of | disappearance of |
        previously resolved | clearing of | interval clearing of | complete clearing of
        """
    ),
    "gone_before": _split(
        """
        resolved | has resolved | have resolved | is resolved | are resolved | now resolved | has
        now resolved | completely resolved | has completely resolved | has disappeared |
        disappeared | is gone | now gone | gone | cleared | has cleared | have cleared | cleared
        up | has cleared up
        """
    ),
    "asked": _split(
        """
        rule out | ruling out | query | evaluate for | eval for | to evaluate | assess for | check
        for | looking for | evaluation for | evaluation of | r o
        """
    ),
    "past": _split(
        """
        history of | previous | prior | former | hx of | hx | known history of | past history of |
        pmh of | pmh | previous history of
        """
    ),
    "or": _split("or | nor"),
    "vs": _split("vs | /"),
    "and": _split(
        """
        and | as well as | along with | together with | in addition to | plus | with | suggesting
        | suggestive of | due to | secondary to | from | associated with | accompanied by | after
        | following | then | who have | having | that have | but | yet | also
        """
    ),
    "maybe": _split("plus or minus"),
    "in": _split(
        "in | at | on | of | within | near | above | below | over | involving | into | to | by"
    ),
}

#: Words that add nothing.
FILLERS = _split(
    """
    a | an | the | any | all | some | is | are | was | were | be | been | there | this | that |
    these | those | it | its | do | does | did | can | please | show | showing | shows | shown |
    me | us | find | finding | get | give | list | search | search for | look for | display | i |
    want | need | for | with | who | has | have | had | which | where | whose | what | patient |
    patients | pt | pts | people | person | persons | subject | subjects | individuals | case |
    cases | case of | cases of | example | examples | examples of | study | studies | exam | exams
    | image | images | film | films | picture | pictures | radiograph | radiographs | x-ray |
    x-rays | xray | xrays | x ray | x rays | chest x-ray | chest x-rays | chest x ray | chest xray
    | chest radiograph | chest radiographs | chest film | chest films | cxr | cxrs | chest |
    chests | evidence of | signs of | sign of | findings of | appearance of | presence of |
    positive for | evidence | seen | present | visible | status post | side | sided | like | also
    | either | both | both of | as | if | old year | years | year | known | diagnosed | diagnosis
    of | dx | suffering | just | about | how | when | during | here | database | archive |
    placement | insertion | in place | now | anything | something | currently | today | got | yes
    | positive | unresolved | not resolved | has not resolved | have not resolved | not yet
    resolved
    """
)

#: Why somebody was examined, as a report's indication says it: what is looked for, and further
#: words for it.
REASONS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("cough",), ("productive cough", "dry cough", "chronic cough")),
    (("fever", "febrile"), ("pyrexia", "pyrexial")),
    (("chills",), ()),
    (
        ("shortness of breath", "dyspnea", "SOB"),
        (
            "short of breath",
            "s.o.b",
            "dyspnoea",
            "dyspneic",
            "dyspnea on exertion",
            "breathlessness",
            "breathless",
            "difficulty breathing",
            "breathing difficulty",
        ),
    ),
    (("chest pain",), ()),
    (("back pain",), ()),
    (("abdominal pain",), ()),
    (("shoulder pain",), ()),
    (("rib pain",), ()),
    (("pain",), ()),
    (("trauma", "injury"), ("traumatic", "injured")),
    (("fall", "fell"), ("falls", "fallen", "fell down")),
    (
        ("MVA", "MVC", "motor vehicle"),
        ("motor vehicle accident", "motor vehicle collision", "car accident", "car crash"),
    ),
    (("hemoptysis",), ("haemoptysis", "coughing blood", "coughing up blood")),
    (("hypoxia", "hypoxic"), ("hypoxemia", "desaturation")),
    (("wheezing", "wheeze"), ()),
    (("syncope",), ("syncopal", "fainted", "fainting")),
    (("weakness", "fatigue"), ()),
    (("weight loss",), ()),
    (("night sweats",), ()),
    (("smoker", "smoking", "tobacco"), ("tobacco use", "smokers", "smokes", "smoking history")),
    (("preop", "preoperative"), ("pre op", "before surgery", "preoperative evaluation")),
    (("PPD",), ("positive ppd", "ppd positive")),
    (("sepsis", "septic"), ()),
    (("hypertension", "HTN"), ("high blood pressure", "hypertensive")),
    (("diabetes", "diabetic"), ("dm",)),
    (("HIV",), ("aids",)),
    (("stroke", "CVA"), ()),
    (("renal failure", "ESRD", "dialysis"), ("kidney failure",)),
    (("palpitations",), ()),
    (("dizziness",), ("dizzy",)),
    (("altered mental status", "confusion"), ("ams", "confused")),
)
