"""Is a text English? Told by small words, so that no finding is read in a language unknown here.

A text counts as foreign where small words of other languages (and words with letters that English
has not) outnumber those of English. Words that two languages share, such as "no", "in" and "non",
tell nothing and are in neither list.
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["denies", "is_english"]

_ENGLISH = frozenset(
    "the of is are and with there without to has have been was were seen from this that not which"
    " may at by be for it its than these there's appears appear within evidence lungs lung heart"
    " left right clear size acute unchanged stable mild small normal limits chest".split()
)
_FOREIGN: dict[str, str] = {
    "German": "der das und kein keine keinen keiner keines nicht mit ohne von vom zur zum den dem"
    " ist sind bei im auf für eine einer einen einem ein sich sowie oder nach als auch noch wird"
    " links rechts beidseits beidseitig beidseitige zeichen nachweis hinweis herz lunge lungen"
    " unauffällig verschattung verschattungen erguss pleuraerguss pleuraergüsse herzgrösse stauung"
    " fraktur rippen zwerchfell regelrecht befund beurteilung keinerlei",
    "French": "le la les des du une un et pas sans avec est sont au aux dans sur pour ou par ne il"
    " ce cette ni aucun aucune poumon poumons coeur épanchement gauche droite droit foyer bilan"
    " silhouette-cardiaque discret discrète normale normaux pulmonaires pleurale",
    "Spanish": "el los las del con sin se en por una es son hay al lo su ni sobre derrame neumotorax"
    " neumotórax pulmones corazón izquierdo izquierda derecho derecha silueta cardiaca tamaño"
    " signos ausencia aprecia observa observan estudio",
    "Italian": "il gli della dei delle degli di e senza si per sono nel nella alla versamento"
    " versamenti pleurico pleurici pneumotorace polmoni polmone cuore sinistro sinistra destro"
    " destra ombra assenza segni",
    "Portuguese": "os da dos das com sem não em na uma um é são há ao pulmões coração"
    " esquerdo esquerda direito direita ausência sinais",
    "Dutch": "de het een van met zonder geen niet zijn bij voor naar aan longen hart linker"
    " rechter en beeld tekenen",
    "Scandinavian": "og ikke uten uden med av er ingen det på til och inte utan är af eller lunger"
    " lungor hjerte hjärta venstre høyre höger vänster",
    "Polish": "bez nie się jest oraz cech po płuca serce prawego lewego",
    "Czech": "je jsou není bez se na plic plíce srdce",
    "South Slavic": "nema su pluća srca znakova",
    "Hungarian": "nem és az nincs látható tüdő szív",
    "Romanian": "fără și şi cu nu este în plămâni",
    "Turkish": "ve yok bir ile akciğer kalp saptanmadı izlenmedi",
    "Finnish": "ei ja keuhkot sydän",
    "Indonesian": "tidak tak dan tampak yang dengan paru jantung",
    "Vietnamese": "không có và hai phổi tim",
}
_ELSEWHERE = frozenset(word for words in _FOREIGN.values() for word in words.split()) - _ENGLISH
_DENYING = frozenset(
    "kein keine keinen keiner keines keinerlei nicht ohne weder pas sans aucun aucune ni absence ne"
    " no sin sem não nao nenhum nenhuma ausencia ausência ningún ningun senza non nessun nessuno"
    " nessuna assenza geen niet zonder noch ikke ingen inget inte intet uten uden utan bez nie brak"
    " není nejsou žádné nema nincs nem nélkül fără nu yok saptanmadı izlenmedi ei ilman tidak tak"
    " không нет не без δεν χωρίς".split()
)
# Single letters are abbreviations in every language.
_WORD = re.compile(r"[^\W\d_]{2,}")


@lru_cache(maxsize=4096)
def is_english(text: str) -> bool:
    """Whether `text` may be read as English; true of a text that tells nothing."""
    words = _WORD.findall(text.lower())
    foreign = sum(word in _ELSEWHERE or not word.isascii() for word in words)
    return foreign <= sum(word in _ENGLISH for word in words)


def denies(sentence: str) -> bool:
    """Whether a sentence in another language has a word that denies."""
    words = _WORD.findall(sentence.lower())
    # Scripts without spaces, and languages unknown here: what may deny is not taken as said.
    return not words or any(word in _DENYING for word in words) or not _is_latin(sentence)


def _is_latin(text: str) -> bool:
    return all(ord(letter) < 0x250 or 0x1E00 <= ord(letter) < 0x1F00 for letter in text if letter.isalpha())
