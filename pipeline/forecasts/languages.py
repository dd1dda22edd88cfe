"""A quick guess which of the model's languages a text is in: by its script, or by its most frequent words."""

from __future__ import annotations

import re

OTHER = "other"
HEAD_CHARACTERS = 300  # read of a text: some fifty words, in a few microseconds
LEAST_WORDS = 2  # that speak for a language
LEAST_SHARE = 0.2  # of the characters, that speak for a script
_SCRIPTS = {"hi": re.compile("[\u0900-\u097f]+"), "th": re.compile("[\u0e00-\u0e7f]+")}
# Words that are frequent in one of the languages and rare in the others: `la`, `de`, `in` or `que` would tell nothing.
_WORDS = {
    "en": "the and of to is was with for that this are from you have be it on we they were has which had not will",
    "de": "der die das und ist nicht mit für von den auf ein eine sich zu wir ich dem wurde auch haben bei oder wird",
    "fr": "le les et est une dans pour pas du au qui sur avec nous vous ce cette été sont je aux ne ou être a ont",
    "it": "il di che è per non gli della nel alla sono anche più delle dei nella i questo dal ci ma ho si degli",
    "pt": "o os um uma não em do ao na é com foi muito são pelo pela dos seu sua você mas à ou também",
    "hi": "",
    "es": "el los las y muy pero más desde sin también fue su es lo hay sus nos esta cuando por una del",
    "th": "",
}
_LANGUAGE_OF = {
    word: language
    for language, words in _WORDS.items()
    for word in words.split()
    if sum(word in others.split() for others in _WORDS.values()) == 1
}
_TELLING = frozenset(_LANGUAGE_OF)
LANGUAGES = (*_WORDS, OTHER)
"""The eight languages of Llama 3.1, and whatever else there is."""


def guess_language(text: str) -> str:
    """One of LANGUAGES, from the beginning of a text. Good enough to group texts of similar tokens per byte."""
    head = text[:HEAD_CHARACTERS]
    if not head.isascii():
        for language, script in _SCRIPTS.items():
            if sum(map(len, script.findall(head))) > LEAST_SHARE * len(head):
                return language
    counts: dict[str, int] = {}
    for word in _TELLING.intersection(head.lower().split()):
        language = _LANGUAGE_OF[word]
        counts[language] = counts.get(language, 0) + 1
    most = max(counts.values(), default=0)
    first = [language for language, count in counts.items() if count == most]
    return first[0] if len(first) == 1 and most >= LEAST_WORDS else OTHER
