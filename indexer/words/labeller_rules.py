"""The phrases that `indexer.words.labeller` knows, as data: findings, qualifiers, cues.

Patterns are regular expressions on lower-case text; `GAP` stands for up to five words of the same
statement. The vocabulary is that of the Open-i annotations (`indexer.annotation`).
"""

from __future__ import annotations

from dataclasses import dataclass

from indexer.annotation import Kind

__all__ = ["CUES", "FINDINGS", "NORMAL_STATEMENTS", "QUALIFIER_PATTERNS", "FindingRule"]

_ALL: tuple[Kind, ...] = ("organ", "location", "side", "severity", "other")
_PLACED: tuple[Kind, ...] = ("location", "side", "severity", "other")
_DEGREE: tuple[Kind, ...] = ("severity", "other")
_SEVERITY: tuple[Kind, ...] = ("severity",)
_BONES: tuple[Kind, ...] = ("organ", "side", "severity", "other")

GAP = r"(?:(?!(?:with|and|but|without|normal|unremarkable|clear|which|while)\b)[\w'/-]+ ){0,5}"
_SPINE = r"(?:spine|vertebra(?:e|l bod(?:y|ies)|l column)?|spinal)"
_THORACIC = rf"(?:(?:mid[- ]?)?thoracic {_SPINE}|t-spine|(?:mid|lower|upper)?thoracic {_SPINE})"
_WEAR = (
    r"(?:degenerat(?:ive|ion|ed)(?! (?:\w+ )?(?:osteophyt|spur))"
    r"(?: (?:bony|osseous|disc|disk|joint|endplate|end plate))?"
    r"(?: (?:changes?|disease|disorder|findings))?|(?:dis[ck] space )?narrowing"
    r"|arthritic changes?|arthropathy|end ?plate changes?)"
)
_HEART = r"(?:heart|cardiac|cardiomediastinal)(?: (?:silhouette|outline|shadow|contours?|size))?"
_BIG = r"(?:enlarged|large|prominent|big|increased)"
# Here another finding of the aorta must not be swallowed.
_CALCIFIED_GAP = r"(?:(?!(?:with|and|but|tortuo\w+|ectatic|athero\w+)\b)[\w'/-]+ ){0,3}"
_TORTUOUS_GAP = r"(?:(?!(?:with|and|but|calcif\w+|athero\w+)\b)[\w'/-]+ ){0,5}"
_TORTUOUS = r"tort(?:uo|uro)(?:us|sity)|ectatic|ectasia|unfold(?:ed|ing)"
_AORTA = r"(?:aorta|aortic(?: (?:arch|knob|contour))?)"


@dataclass(frozen=True, slots=True)
class FindingRule:
    """One way to word a finding.

    Parameters
    ----------
    disease
        The top-level term.
    pattern
        Regular expression of the phrase.
    qualifiers
        Said by the phrase itself.
    organ
        Where the finding is if the sentence names no organ.
    kinds
        Kinds of qualifiers it may take from its sentence.
    """

    disease: str
    pattern: str
    qualifiers: tuple[str, ...] = ()
    organ: str = ""
    kinds: tuple[Kind, ...] = _ALL


def _rule(
    disease: str,
    pattern: str,
    *qualifiers: str,
    organ: str = "",
    kinds: tuple[Kind, ...] = _ALL,
) -> FindingRule:
    return FindingRule(disease, pattern, qualifiers, organ, kinds)


# Where two phrases overlap the longer one counts, and of equally long ones the first.
FINDINGS: tuple[FindingRule, ...] = (
    # Lungs
    _rule("opacity", r"opacit(?:y|ies)|opacification|haz(?:e|iness)", organ="lung"),
    _rule("pulmonary atelectasis", r"atelecta(?:sis|tic)(?: changes?)?", kinds=_PLACED),
    _rule(
        "pulmonary atelectasis",
        rf"(?:lobe|lobar|lung) collapse|collapsed {GAP}(?:lung|lobe)|collapse of {GAP}(?:lung"
        rf"|lobe)|(?:lung|lobe) {GAP}collapsed",
        kinds=_PLACED,
    ),
    _rule("airspace disease", r"air[- ]?space (?:disease|process|infiltrates?)", organ="lung"),
    _rule("infiltrate", r"infiltrat(?:es?|ions?)", organ="lung"),
    _rule("consolidation", r"consolidat(?:ions?|ive changes?)", organ="lung"),
    _rule("pneumonia", r"(?:broncho)?pneumonias?|pneumonitis", kinds=_PLACED),
    _rule("density", r"densit(?:y|ies)|dense(?= nodul)", organ="lung"),
    _rule("nodule", r"nodules?(?:/mass)?|micronodules?|nodularity", organ="lung"),
    _rule("nodule", r"fibronodular", "round", organ="lung"),
    _rule("mass", r"mass(?:es)?(?![ -]?like)(?: lesions?)?", organ="lung"),
    _rule("lucency", r"lucenc(?:y|ies)"),
    _rule(
        "lung, hyperlucent",
        r"hyper-?lucen(?:t|cy|cies)|(?:lung|apical) lucenc(?:y|ies)",
        kinds=_PLACED,
    ),
    _rule("cavitation", r"cavit(?:ation|ary lesions?|y|ies)", organ="lung"),
    _rule("cysts", r"cysts?\b|cystic (?:lesions?|changes?)"),
    _rule("blister", r"bullae?|blebs?|bullous (?:disease|changes?)", organ="lung"),
    _rule("bullous emphysema", r"bullous emphysema(?:tous changes?)?", organ="lung"),
    _rule(
        "cicatrix",
        r"(?:fibrotic )?(?:scars?\b|scarring)|cicatri(?:x|ces)|scar tissue",
        organ="lung",
    ),
    _rule(
        "calcified granuloma",
        rf"(?<!non )calcified {GAP}granuloma(?:s|ta)?|granuloma(?:s|ta)? (?:is|are) calcified",
        organ="lung",
    ),
    _rule("granuloma", r"granuloma(?:s|ta)?", organ="lung"),
    _rule(
        "granulomatous disease",
        r"granulomatous (?:disease|process|changes?|infection|exposure)",
        kinds=("side", "severity", "other"),
    ),
    _rule(
        "lung hypoinflation",
        r"(?:hypo|under)[- ]?(?:inflat|expan|ventilat|aerat)\w+",
        kinds=_DEGREE,
    ),
    _rule(
        "lung hypoinflation",
        rf"lung volumes {GAP}(?:low(?! normal)|small|decreased|reduced|diminished)",
    ),
    _rule(
        "lung hypoinflation",
        r"(?:low(?:er)?|small|decreas(?:ed|ing)|reduced|diminished|shallow) (?:lung "
        r"|inspiratory )?volumes?",
        kinds=_SEVERITY,
    ),
    _rule("lung hypoinflation", rf"(?:lungs|volumes) {GAP}low in volume", kinds=_SEVERITY),
    _rule(
        "lung hypoinflation",
        r"(?:low|poor|shallow|suboptimal|reduced) (?:inspiration|inspiratory effort)",
        kinds=_SEVERITY,
    ),
    _rule("lung hyperdistention", r"hyper-?(?:inflat|expan|disten|aerat)\w+", kinds=_SEVERITY),
    _rule("lung hyperdistention", rf"lung volumes {GAP}(?:large|increased)", kinds=_SEVERITY),
    _rule("lung hyperdistention", r"(?:large|increased) lung volumes?", kinds=_SEVERITY),
    _rule("emphysema", r"emphysema|emphysematous(?: changes?| disease)?", kinds=_DEGREE),
    _rule(
        "pulmonary disease, chronic obstructive",
        r"copd|(?:chronic )?obstructive (?:pulmonary|lung|airways?)? ?disease",
        kinds=(),
    ),
    _rule(
        "pulmonary edema",
        r"(?<!tissue )(?:(?:pulmonary|interstitial|alveolar) )?o?edema",
        kinds=_PLACED,
    ),
    _rule(
        "pulmonary congestion",
        r"(?:(?:pulmonary|central|vascular|venous) ){1,4}(?:congestion|engorgement)|congestion"
        r"|cephalization|(?:(?:pulmonary )?vascular|venous) redistribution",
        kinds=_PLACED,
    ),
    _rule(
        "pulmonary congestion",
        rf"(?:pulmonary |central ){{1,2}}(?:vascular|vessel|vascularity|vasculature|vessels|xxxx)"
        rf" {GAP}(?:congested|engorged|prominence|prominent|enlarged|increased)"
        r"|(?:increased|full(?:ness of the)?) (?:central )?(?:pulmonary )?(?:vascularity"
        r"|vasculature)"
        r"|vascular prominence|indistinct (?:\w+ )?vascular(?:ity| margin\w*)"
        rf"|(?:prominen(?:t|ce)|engorge(?:d|ment))(?: of)? {GAP}(?:vasculature|vascularity"
        r"|vessels)",
        kinds=_PLACED,
    ),
    _rule("heart failure", r"(?:congestive )?(?:heart|cardiac) failure|chf|failure", kinds=_DEGREE),
    _rule("pulmonary fibrosis", r"fibrosis|fibrotic(?: changes?| disease)?", kinds=_PLACED),
    _rule(
        "lung diseases, interstitial",
        r"(?:chronic )?interstitial (?:lung |pulmonary )?(?:disease|process|changes?)",
        kinds=_PLACED,
    ),
    _rule("markings lung", r"interstitial (?:lung )?markings", "interstitial", kinds=_PLACED),
    _rule("markings lung", r"(?:lung|pulmonary|bronchovascular) markings", kinds=_PLACED),
    _rule("lung interstitial", r"interstitial prominence|prominent interstitium", "prominent"),
    _rule(
        "markings bronchovascular",
        rf"(?:(?:broncho)?vascular )?crowding|crowds? {GAP}(?:markings|vessels|vasculature)"
        rf"|crowded {GAP}(?:markings|vessels|vasculature)",
        kinds=_SEVERITY,
    ),
    _rule("bronchiectasis", r"bronchiecta(?:sis|tic)(?: changes?)?", kinds=_PLACED),
    _rule("tuberculosis", r"tuberculosis|\btb\b", kinds=_PLACED),
    _rule("sarcoidosis", r"sarcoid(?:osis)?", kinds=()),
    _rule("cystic fibrosis", r"cystic fibrosis", kinds=()),
    _rule("volume loss", r"volume loss|loss of volume", organ="lung"),
    _rule("lung azygos lobe", r"azygos (?:lobe|fissure)", kinds=()),
    _rule("nipple shadow", r"nipple shadows?", kinds=("side",)),
    _rule("pneumonectomy", r"pneumonectomy|lobectomy", organ="lung"),
    _rule("lung hilum", rf"(?:hil(?:ar|um|a)) {GAP}(?:enlarge\w*|prominen\w+|fullness)"),
    _rule(
        "lung hilum",
        r"(?:prominent|enlarged|full) (?:(?:left|right|bilateral|pulmonary) ){0,2}hil(?:um|a|ar)\b",
        kinds=("side", "severity", "other"),
    ),
    _rule(
        "lung hilum",
        r"(?:prominence|enlargement|fullness)(?: of)? (?:the |both )?(?:(?:left|right|bilateral) )?"
        r"hil(?:um|a|ar)\b|bihilar prominence"
        r"|hilar (?:and \w+ )?(?:lymph)?adenopathy",
        kinds=("side", "severity", "other"),
    ),
    # Pleura and diaphragm
    _rule(
        "pleural effusion",
        r"(?:pleural )?effusions?|pleural fluid(?: collections?)?|hydrothorax",
        kinds=("side", "severity", "location"),
    ),
    _rule(
        "pneumothorax",
        r"pneumothora(?:x|ces|xes)",
        kinds=("side", "severity", "location"),
    ),
    _rule(
        "hydropneumothorax",
        r"hydro-?pneumothora(?:x|ces|xes)",
        kinds=("side", "severity", "location"),
    ),
    _rule(
        "thickening",
        r"pleural(?: and parenchymal)? thickening|(?:bi)?(?:apical|pleural) cap(?:ping)?s?"
        r"|pleural plaques?|(?:inter)?(?:fissural|lobar fissur(?:e|al)) thickening"
        r"|pleuroparenchymal thickening"
        rf"|(?:thickening|thickened)(?: of| in| along)? {GAP}(?:fissures?|pleura)"
        rf"|(?:fissures?|pleura) {GAP}thickened|thickened {GAP}(?:fissures?|pleura)"
        r"|(?:bi)?apical (?:(?!fibro)\w+ )?thickening|(?<=fibronodular )(?:pleural )?thickening",
        "pleura",
        kinds=_PLACED,
    ),
    _rule("thickening", r"thickening|thickened"),
    _rule(
        "costophrenic angle",
        rf"blunt(?:ing|ed)?(?: of)? {GAP}(?:costophrenic|cp|costo-phrenic)"
        r" (?:angles?|sulc(?:us|i)|recess(?:es)?|xxxx)|"
        r"(?:costophrenic|cp) (?:angles?|sulc(?:us|i)|recess(?:es)?|xxxx) "
        rf"{GAP}blunt(?:ing|ed)?",
        "blunted",
        kinds=_PLACED,
    ),
    _rule(
        "costophrenic angle",
        r"(?:costophrenic|cp) (?:angles?|sulc(?:us|i)|recess(?:es)?|xxxx) "
        rf"{GAP}obscur(?:ed|ation)",
        "obscured",
        kinds=_PLACED,
    ),
    _rule(
        "diaphragm right",
        rf"elevat(?:ed|ion)(?: of)? {GAP}right (?:hemi-?)?diaphragm"
        rf"|right (?:hemi-?)?diaphragm {GAP}elevat(?:ed|ion)",
        "elevated",
        kinds=_SEVERITY,
    ),
    _rule(
        "diaphragm left",
        rf"elevat(?:ed|ion)(?: of)? {GAP}left (?:hemi-?)?diaphragm"
        rf"|left (?:hemi-?)?diaphragm {GAP}elevat(?:ed|ion)",
        "elevated",
        kinds=_SEVERITY,
    ),
    _rule("diaphragm left", rf"left (?:hemi-?)?diaphragm {GAP}obscur(?:ed|ation)", "obscured"),
    _rule(
        "diaphragm bilateral",
        rf"flatten(?:ed|ing)(?: of)? {GAP}hemi-?diaphragms"
        rf"|flattening of {GAP}diaphragms?|hemi-?diaphragms {GAP}flatten(?:ed|ing)",
        "flattened",
        kinds=_SEVERITY,
    ),
    _rule(
        "diaphragm flattened",
        rf"flattened {GAP}diaphragms?|diaphragms? {GAP}flatten(?:ed|ing)|diaphragmatic flattening",
        kinds=_SEVERITY,
    ),
    _rule("diaphragmatic eventration", r"eventrat(?:ion|ed)", kinds=("side", "severity", "other")),
    _rule(
        "hernia, hiatal", r"(?:hiat(?:al|us)|paraesophageal) herni(?:a|as|ation)", kinds=_SEVERITY
    ),
    _rule("hernia, diaphragmatic", r"(?:diaphragmatic|bochdalek|morgagni) hernias?", kinds=_DEGREE),
    _rule(
        "pneumoperitoneum",
        r"pneumoperitoneum|free (?:intra-?peritoneal |subdiaphragmatic |intra-?abdominal )?air"
        rf"|air {GAP}(?:beneath|under|below) (?:the )?{GAP}diaphragm",
        kinds=_SEVERITY,
    ),
    # Heart and vessels
    _rule(
        "cardiac shadow",
        rf"cardiac silhouette {GAP}{_BIG}|enlarged {GAP}cardiac silhouette"
        r"|enlargement (?:of|in) (?:the )?cardiac silhouette",
        "enlarged",
        kinds=_SEVERITY,
    ),
    _rule(
        "cardiomegaly",
        rf"cardiomegaly|{_HEART} (?:\w+ ){{0,3}}upper limits?(?: of)? normal (?:or|to)"
        r" (?:\w+ )?enlarged"
        rf"|{_HEART} {GAP}{_BIG}(?! (?:aort|hil|mediast|pulm|vasc|left|right))"
        rf"|heart(?: size)?: (?:\w+ ){{0,2}}enlarged|enlarged {GAP}{_HEART}|{_HEART} enlargement"
        rf"|(?:enlargement of|increased?(?: in)?) {GAP}{_HEART}",
        kinds=_SEVERITY,
    ),
    _rule(
        "cardiomegaly",
        r"borderline (?:heart|cardiac) (?:size|silhouette|enlargement)"
        rf"|{_HEART} (?:size )?{GAP}borderline(?: enlarged)?|borderline enlarge\w+ {GAP}{_HEART}",
        "borderline",
        kinds=(),
    ),
    _rule("pericardial effusion", r"pericardial (?:effusions?|fluid)", kinds=_SEVERITY),
    _rule(
        "aorta, thoracic",
        rf"(?:{_TORTUOUS}),?(?: of)? {_TORTUOUS_GAP}thoracic aorta"
        rf"|thoracic aorta {GAP}(?:{_TORTUOUS})"
        rf"|(?:{_TORTUOUS})(?=,? (?:and )?(?:calcified|athero\w+) {GAP}thoracic aorta)",
        "tortuous",
        kinds=_SEVERITY,
    ),
    _rule(
        "aorta tortuous",
        rf"(?:{_TORTUOUS}|uncoiled)(?: of)? {_TORTUOUS_GAP}{_AORTA}"
        rf"|{_AORTA} {GAP}(?:{_TORTUOUS}|uncoiled)",
        kinds=_SEVERITY,
    ),
    _rule(
        "aorta tortuous",
        r"tort(?:uo|uro)(?:us|sity)|unfolded|(?:aortic )?ectasia",
        kinds=_SEVERITY,
    ),
    _rule("aorta prominent", rf"{_AORTA} {GAP}prominen(?:t|ce)|prominent {GAP}aorta", kinds=()),
    _rule("aortic aneurysm", r"aneurysm(?:al)?(?: dilat(?:ation|ion))?", kinds=()),
    _rule(
        "atherosclerosis",
        rf"(?:aort(?:a|ic) {GAP})?(?:athero|arterio)(?:sclero(?:sis|tic)|ma(?:tous)?)"
        r"(?: (?:vascular |aortic )?(?:changes?|disease|calcifications?))?"
        rf"(?: (?:of|in|within|involving) {GAP}aort(?:a|ic (?:arch|knob)))?",
        organ="aorta",
        kinds=("organ", "severity"),
    ),
    _rule("calcinosis", r"calcifications?|calcified|calcinosis|calcific(?: changes?)?"),
    _rule(
        "calcinosis",
        rf"calcified {GAP}hilar (?:and mediastinal )?(?:lymph )?(?:nodes?|xxxx|lymph xxxx)"
        r"|calcified (?:mediastinal and )?hilar lymph",
        *("lung", "hilum", "lymph nodes"),
        kinds=("side", "other"),
    ),
    _rule(
        "calcinosis",
        rf"(?:aortic|aorta) {_CALCIFIED_GAP}calcifi(?:ed|cations?)"
        rf"|calcifi(?:ed|cations?)(?: of)? {_CALCIFIED_GAP}aort(?:a|ic)",
        "aorta",
        kinds=_SEVERITY,
    ),
    _rule(
        "pulmonary artery",
        rf"pulmonary arter(?:y|ies|ial) {GAP}(?:enlarge\w*|prominen\w+|dilat\w+)"
        rf"|(?:enlarge(?:d|ment)|prominen(?:t|ce)|dilat\w+)(?: of)? {GAP}pulmonary"
        r" (?:arter\w+|outflow)",
        kinds=("side", "severity", "other"),
    ),
    _rule("hypertension, pulmonary", r"pulmonary (?:arterial |venous )?hypertension", kinds=()),
    _rule(
        "mediastinum",
        rf"(?:mediastin(?:um|al)) {GAP}(?:widen(?:ed|ing)|prominen\w+|enlarge\w*)"
        r"|mediastinal (?:and \w+ )?(?:lymph)?adenopathy"
        rf"|(?:widen(?:ed|ing)|prominen(?:t|ce))(?: of)? {GAP}mediastin(?:um|al)",
        kinds=("side", "severity", "other"),
    ),
    _rule(
        "shift",
        r"(?:mediastinal|tracheal|midline) (?:shift|deviation)"
        rf"|(?:trachea|mediastinum) {GAP}(?:deviat\w+|shift\w*|displaced)"
        rf"|(?:shift|deviation|displacement) of {GAP}(?:trachea|mediastin\w+|heart)",
    ),
    _rule(
        "epicardial fat",
        r"(?:epicardial|pericardial|cardiophrenic|mediastinal) fat(?: pads?| xxxx)?",
        kinds=("side", "severity", "other"),
    ),
    _rule(
        "heart",
        r"obscur(?:ed|ation of)(?: the)? (?:(?:left|right) )?(?:heart|cardiac) (?:border|margin"
        r"|xxxx)"
        r"|(?:heart|cardiac) (?:border|margin|xxxx) (?:\w+ ){0,2}obscured",
        "obscured",
        kinds=("side", "severity"),
    ),
    # Bones
    _rule(
        "lumbar vertebrae",
        rf"{_WEAR} {GAP}(?:thoraco)?lumbar {_SPINE}|(?:thoraco)?lumbar {_SPINE} {GAP}{_WEAR}"
        rf"|thoracolumbar {_WEAR}|{_WEAR} {GAP}thoracolumbar junction",
        "degenerative",
        kinds=_DEGREE,
    ),
    _rule(
        "thoracic vertebrae degenerative",
        rf"{_WEAR} {GAP}{_THORACIC}|{_THORACIC} {GAP}{_WEAR}",
        kinds=_DEGREE,
    ),
    _rule(
        "spine degenerative",
        rf"{_WEAR} {GAP}{_SPINE}|{_SPINE} {GAP}{_WEAR}"
        r"|(?:multilevel )?degenerative dis[ck] disease",
        kinds=_DEGREE,
    ),
    _rule(
        "shoulder",
        rf"{_WEAR} {GAP}(?:shoulders?|acromioclavicular|ac joints?|glenohumeral)"
        r"|(?:shoulders?|acromioclavicular(?: joints?)?|ac joints?"
        rf"|glenohumeral joints?) {GAP}{_WEAR}",
        "degenerative",
        kinds=("side", "severity"),
    ),
    _rule("arthritis", r"(?:osteo)?arthritis|arthritic(?: changes?)?|osteoarthritic", kinds=_BONES),
    _rule("spondylosis", r"spondylosis|spondylotic(?: changes?)?", kinds=_BONES),
    _rule("osteophyte", r"osteophyt(?:es?|osis|ic)(?: formation)?|(?:bony )?spurring|spurs?\b"),
    _rule(
        "scoliosis",
        r"(?:dextro|levo|rotatory |roto)?scolio(?:sis|tic)(?: curvature)?"
        r"|dextrocurvature|levocurvature"
        rf"|curvature of {GAP}{_SPINE}|(?:spin(?:e|al)|thoracic|thoracolumbar) curvature",
        kinds=_BONES,
    ),
    _rule("kyphosis", r"kypho(?:sis|tic)(?: curvature)?|kyphoscoliosis", kinds=_BONES),
    _rule(
        "deformity",
        r"(?:wedge |wedging |compression )?deformit(?:y|ies)|wedging|compression of"
        r"|(?:contour|cortical) irregularit(?:y|ies)|irregularity of (?:\w+ ){0,4}(?:ribs?"
        r"|clavicle)"
        r"|post-?traumatic changes?",
        kinds=_BONES,
    ),
    _rule("fractures, bone", r"fractur(?:es?|ed)", kinds=_BONES),
    _rule("dislocations", r"dislocations?|subluxations?|(?:retro|antero)listhesis", kinds=_BONES),
    _rule(
        "bone diseases, metabolic",
        r"osteopeni[ac]|osteoporo(?:sis|tic)|deminerali[sz](?:ation|ed)",
        kinds=("organ", "severity", "other"),
    ),
    _rule(
        "sclerosis", r"scleros(?:is|ed)|sclerotic(?: (?:lesions?|focus|changes?))?", kinds=_BONES
    ),
    _rule(
        "hyperostosis, diffuse idiopathic skeletal",
        r"\bdish\b|diffuse idiopathic skeletal hyperostosis",
        kinds=("organ",),
    ),
    _rule("funnel chest", r"pectus excavatum(?: deformity)?|funnel chest", kinds=_SEVERITY),
    _rule("pectus carinatum", r"pectus carinatum(?: deformity)?", kinds=_SEVERITY),
    _rule("spinal fusion", rf"(?:{_SPINE}|cervical|lumbar|thoracic) {GAP}(?:fusion|fused)"),
    _rule("spinal fusion", r"fusion (?:hardware|plate|xxxx|rods?)|spinal fusion", kinds=_BONES),
    # Devices and operations
    _rule(
        "catheters, indwelling",
        r"catheters?|xxxx-a-xxxx|shunt tub\w+|\bivc (?:filter|xxxx)"
        r"|tip (?:\w+ ){0,6}(?:svc|superior vena cava|cavo-?atrial|caval atrial)"
        r"|\bpicc\b(?: line)?|port-?a-?cath|mediport|(?:chest )?port\b"
        r"|central (?:venous )?line|(?:subclavian|jugular|ij) (?:central )?(?:venous )?line",
        kinds=("side",),
    ),
    _rule(
        "implanted medical device",
        r"pacemakers?|pacer|\baicd\b|\bicd\b|defibrillator|generator"
        r"|pacing (?:device|leads?|wires?)"
        r"|(?:prosthetic|artificial|replacement) (?:\w+ ){0,2}(?:valves?|shoulder|humer\w+)"
        r"|valve (?:replacement|prosthesis)|closure device|stimulator"
        r"|(?:joint|shoulder|hip) (?:replacement|prosthesis|arthroplasty)|arthroplasty|prosthesis"
        r"|cardiac (?:device|leads?)",
        kinds=("organ", "side"),
    ),
    _rule(
        "medical device",
        rf"(?:monitor(?:ing)?|telemetry|external|ekg|ecg) {GAP}(?:leads?|electrodes?)",
        kinds=("side",),
    ),
    _rule(
        "tube, inserted",
        r"(?:endotracheal|tracheostomy|nasogastric|orogastric|enteric|feeding|chest|ng|et|ett"
        r"|thoracostomy|drainage) (?:tubes?|drain)|tracheostomy(?: cannula)?|\bett\b|\bngt\b",
        kinds=("organ", "side"),
    ),
    _rule(
        "surgical instruments",
        r"(?:(?:post)?surgical|metallic|vascular|cholecystectomy|mediastinal) clips?|clips\b"
        r"|staples?",
        kinds=("organ", "side", "other"),
    ),
    _rule("sutures", r"sutures?(?: (?:material|line))?|staple line", organ="lung"),
    _rule("stents", r"stents?(?: graft)?", kinds=("organ",)),
    _rule("stents", r"coronary (?:artery )?stents?", "coronary vessels", kinds=()),
    _rule(
        "foreign bodies",
        r"foreign (?:body|bodies|object)|bullets?|shrapnel|bb\b"
        r"|nipple (?:ring|piercing)s?|piercings?",
        kinds=("organ", "location", "side"),
    ),
    _rule("breast implants", r"breast (?:implants?|prosthes[ei]s)", kinds=("side",)),
    _rule("mastectomy", r"mastectom(?:y|ies)", kinds=("side",)),
    _rule(
        "subcutaneous emphysema",
        r"subcutaneous (?:emphysema|air|gas)|(?:chest wall|soft tissue) emphysema",
        kinds=("organ", "side", "severity"),
    ),
    _rule("contrast media", r"(?:oral|residual|barium|retained) contrast|barium", kinds=("organ",)),
    # The picture itself
    _rule(
        "technical quality of image unsatisfactory",
        r"(?:patient|film|image|study|exam(?:ination)?|view) (?:is |was )?"
        r"(?:slightly |somewhat |mildly )?(?:rotated|(?:und|ov)er(?:penetrated|exposed)|limited"
        r"|suboptimal)|(?:patient )?rotation"
        r"|(?:limited|suboptimal|poor) (?:by|study|exam\w*|view|quality)"
        r"|technical factors|motion artifact|(?:under|over)-?penetrat(?:ed|ion)"
        r"|rotated (?:frontal|position)"
        r"|(?:evaluation|assessment|quality) (?:(?:of|for) (?:\w+ ){1,4})?(?:is )?(?:\w+ )?limited"
        r"|limited (?:\w+ ){0,3}(?:exam\w*|views?)"
        r"|poor inspiration",
        kinds=(),
    ),
)

# Statements that a whole chest, or what was looked for in it, is well.
NORMAL_STATEMENTS = (
    r"no (?:evidence of |radiographic evidence of )?(?:acute|active|significant)\b"
    r"|(?:lungs?|chest|heart|mediastin\w+|silhouettes?|contours?|cardio\w*|examination|exam|study) "
    r"(?:\S+ ){0,5}(?:clear|normal|unremarkable|negative)\b"
    r"|(?:normal|unremarkable|negative|clear) (?:\S+ ){0,3}"
    r"(?:chest|lungs?|heart|mediastin\w+|silhouette|cardio\w*|exam\w*|study|radiographs?"
    r"|examination)"
    r"|within normal limits|^\W*(?:normal|negative|clear)\W*$|negative for acute"
)

# Words of the annotations' vocabulary and how reports put them.
QUALIFIER_PATTERNS: tuple[tuple[str, str], ...] = (
    ("bilateral", r"bilateral(?:ly)?|both|bi(?=basilar|basal|apical|lateral)"),
    ("left", r"left(?:[- ]sided|ward)?|\blll\b|\blul\b|levo(?=scolio)"),
    ("right", r"right(?:[- ]sided|ward)?|\brll\b|\brul\b|\brml\b|dextro(?=scolio)"),
    ("base", r"(?:bi)?(?:bas(?:es?|al|ilar))\b"),
    ("apex", r"(?:bi)?(?:ap(?:ex|ices|ical))\b"),
    ("upper lobe", r"upper (?:lung )?(?:lobes?|lung|zones?|lung zones?)|\b[lr]ul\b"),
    ("lower lobe", r"lower (?:lung )?(?:lobes?|lung|zones?|lung zones?)|\b[lr]ll\b"),
    ("middle lobe", r"middle lobe|mid ?lung|\brml\b"),
    ("lingula", r"lingular?\b"),
    ("hilum", r"(?:peri|infra|supra)?hil(?:um|a|ar)\b"),
    ("retrocardiac", r"retro-?cardiac"),
    ("paratracheal", r"paratracheal"),
    ("cardiophrenic angle", r"cardiophrenic angle"),
    ("costophrenic angle", r"costophrenic (?:angles?|sulc(?:us|i)|xxxx)"),
    ("posterior", r"posterior(?:ly)?"),
    ("anterior", r"anterior(?:ly)?"),
    ("lung", r"lungs?|intrapulmonary"),
    ("pleura", r"pleura(?:l)?"),
    ("ribs", r"ribs?\b"),
    ("aorta", r"aort(?:a|ic)\b"),
    ("lymph nodes", r"lymph (?:nodes?|xxxx)|\bnodes\b"),
    ("mediastinum", r"mediastin(?:um|al)"),
    (
        "thoracic vertebrae",
        rf"{_THORACIC}|\bt\d{{1,2}}\b|(?:mid|lower|upper)?-?thoracic (?=\w+ deform|vert|comp)",
    ),
    (
        "thoracic vertebrae",
        r"thoracic (?=spondylosis|scoliosis|kyphosis|dextro|levo)|thoracolumbar",
    ),
    ("thoracic vertebrae", r"(?:mid|lower|upper)[- ]?thoracic"),
    ("lumbar vertebrae", rf"(?:thoraco)?lumbar(?: {_SPINE})?|\bl[1-5]\b"),
    ("cervical vertebrae", rf"cervical(?: {_SPINE})?|\bc[1-7]\b"),
    ("spine", r"spine\b|spinal"),
    ("clavicle", r"clavic(?:les?|ular)"),
    ("shoulder", r"shoulders?|glenohumeral|acromioclavicular"),
    ("humerus", r"humer(?:us|al)"),
    ("sternum", r"stern(?:um|al)"),
    ("breast", r"breasts?"),
    ("diaphragm", r"(?:hemi)?diaphragms?"),
    ("abdomen", r"abdom(?:en|inal)|upper quadrant"),
    ("thorax", r"chest wall|hemithorax"),
    ("neck", r"neck"),
    ("aortic valve", r"aortic valve"),
    ("mitral valve", r"mitral (?:valve|annul\w+)"),
    ("trachea, carina", r"carina"),
    ("coronary vessels", r"coronary"),
    ("mild", r"mild(?:ly)?|minimal(?:ly)?|slight(?:ly)?"),
    ("moderate", r"moderate(?:ly)?"),
    ("severe", r"severe(?:ly)?|marked(?:ly)?|advanced"),
    ("borderline", r"borderline|upper limits? of normal"),
    ("small", r"small|tiny|trace|minute"),
    ("large", r"large|massive"),
    ("multiple", r"multiple|multilevel|several|numerous"),
    ("scattered", r"scattered"),
    ("patchy", r"patchy"),
    ("streaky", r"streaky|linear|strandy|band-?like"),
    ("round", r"round(?:ed)?|nodular"),
    ("interstitial", r"interstitial|reticular|reticulonodular"),
    ("focal", r"focal"),
    ("diffuse", r"diffuse(?:ly)?"),
    ("chronic", r"chronic"),
    ("healed", r"heal(?:ed|ing)"),
    ("prominent", r"prominent|prominence"),
    ("enlarged", r"enlarged|enlargement"),
    ("irregular", r"irregular(?:ity)?"),
)

_SEEN = (
    r"(?:seen|identified|visuali[sz]ed|visible|present|evident|apparent|demonstrated|noted|found"
    r"|appreciated|detected|observed|suspected|confirmed|shown|recogni[sz]ed)"
)
_BE = r"(?:is|are|was|were|has been|have been|had been)"
# What may still be said after a finding that is there: it ends the reach of a "no" before it.
_ASSERTING = (
    r"(?:stable|unchanged|persistent|mild(?:ly)?|moderate(?:ly)?|minimal(?:ly)?|chronic|old|prior"
    r"|scattered|borderline|tortuous|degenerative|low|prominent|small|tiny|bibasilar|again|status"
    r"|residual|decreas\w+|increas\w+|improv\w+|worsen\w+|resolving|known|definite|calcified"
    r"|multiple|several|severe|bilateral|left|right|only)"
)
_VERY = r"(?:significant|interval|appreciable|substantial|further|definite|major|gross|great)"
_END_OF_CLAUSE = r"(?=\s*(?:[.,;]|$|\b(?:but|and|given|based|in|on|at|as)\b))"
# In the order in which they are tried: kind and pattern. "before" stands before what it speaks of,
# "after" after it, "around" between two; "weak_stop" is none in a list that goes on with "or".
CUES: tuple[tuple[str, str], ...] = (
    (
        "nothing",
        rf"(?:no|without)(?: {_VERY})* (?:change|(?:increase|decrease|difference|worsening"
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
        r"|(?:most|strongly|highly) (?:suggestive of|compatible with|consistent with)",
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
        r"|not (?:as )?well[- ]seen|should be considered|if (?:clinically )?(?:suspected"
        r"|indicated|present|any|appropriate)|suspected(?=\s*(?:[.;,]|$))"
        r"|in the (?:appropriate|proper|right|correct) clinical (?:setting|context)",
    ),
    (
        "negated_after",
        r": (?:none|absent|negative|no(?=\s*(?:[.;]|$)))|(?:is|are) lacking"
        r"|within (?:the )?(?:limits of normal|normal limits)"
        rf"|(?:(?:(?:could|can|would|does|do|did|may|might) )?not|cannot|neither) (?:be )?"
        rf"(?:\w+ly )?{_SEEN}"
        r"(?! (?:on|in) (?:the |an? )?(?:previous|prior|last|earlier|lateral|frontal|outside|_|xxxx"
        r"|\d)| (?:previously|before|earlier))"
        rf"|(?:,? (?:which|that) (?:is|are) )?no longer (?:be )?(?:\w+ly )?{_SEEN}"
        r"|(?:has|have|had) not (?:re)?(?:developed|occurred|appeared|accumulated|curred)"
        r"|(?:,? (?:which|that) )?(?:has|have|had) "
        r"(?:(?:now|since|completely|entirely|fully|been) )*"
        r"(?:resolved|cleared|disappeared|drained|evacuated)"
        r"|(?:resolved|cleared)(?=\s*(?:[.;,]|$))"
        r"|(?:is|are) (?:now |entirely |completely )*(?:absent|resolved|gone)"
        r"|(?:is|are|seems?|appears?) (?:(?:felt|thought|considered|deemed|to|be|very|highly) )*"
        r"unlikely(?! to)"
        rf"|unlikely{_END_OF_CLAUSE}"
        rf"|{_BE} (?:ruled out|excluded|removed)|removed(?= without)",
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
        r"|to (?:identify|detect|look for)|detecting"
        r"|suggest(?:s|ed|ing|ive of|ion of)?|consider(?:ations?)?"
        r"|less likely|would include|potential(?:ly)?|versus|vs|favou?red over"
        r"|in the (?:appropriate|proper|right|correct) clinical (?:setting|context)"
        r"(?:,? (?:this|these|it|findings?) (?:\w+ ){0,3}(?:consistent|compatible) with)?)"
        r"(?: (?:be )?(?:due to|secondary to|(?:compatible|consistent) with))?",
    ),
    (
        "negated_before",
        r"removal of|no|not|cannot|without|neither|nor|negative for|free of|clear of"
        r"|(?:clear|free) from|absence of|little (?:evidence|sign|suggestion) (?:of|for)"
        r"|lack of|lacks|resolution of|clearing of|resolved|denies|unlikely|\w+n't"
        r"|fails? to (?:show|reveal|demonstrate)"
        r"|rather than|instead of|nothing|none|never|no longer|ruled out|excludes|absent|devoid of",
    ),
    (
        "stop",
        r"but(?! (?:is|are|was|were|has|have|not (?:\w+ )?excluded)\b)|however|although|though"
        r"|except|apart from"
        r"|aside from|other than|exception of|save for|besides"
        r"|despite|yet|while"
        r"|whereas|which|because|due to|secondary to|otherwise"
        r"|the (?:left |right )?(?:lungs?|heart|bones?|aorta) (?:is|are|shows?"
        r"|appears?)"
        r"|, (?:and )?(?:there (?:is|are)|the|this|that|it|we)\b"
        rf"|and there (?:is|are)|(?<!that )(?<!whether )there (?:is|are)|{_BE} {_SEEN}(?:,"
        r"| and)(?= )",
    ),
    # What a denied finding would be consistent with is denied too; doubt ends here.
    ("link", r"(?:consistent|compatible) with|in keeping with"),
    (
        "weak_stop",
        rf"(?:,|and|, and|with)(?= (?:a |an )?{_ASSERTING}\b)|and with"
        r"|(?:,|and|, and)(?= (?:the|an?)\b)"
        rf"|(?:,|and|, and)(?= (?:\w+ ){{1,3}}(?:is|are|was|were|has|have|remains?)\b(?! {_SEEN}))",
    ),
)
