"""The one rule by which a text from outside is kept from reading as a control token or as the tag of a fence.

A `<` gets a space behind it where, invisible characters left aside and look-alikes folded as Unicode folds them,

    `|`, a word and `|>` follow        `<|eot_id|>`   becomes `< |eot_id|>`    any word: each vocabulary has its own
    `document` or `part` follows       `<document>`   becomes `< document>`    also as the beginning of a longer word,
    or `/`, blanks and one of these    `</ PART>`     becomes `< / PART>`      so that no cut of a text makes a tag

Nothing else is changed and nothing is taken away. What has been neutralised stays so: as a whole, in every piece of it,
and when it is neutralised once more.
"""

from __future__ import annotations

import re
import unicodedata

FENCES = ("document", "part")

_BLANK = " \t-\r\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# Characters without a picture: default-ignorable ones (with the tag characters and variation selectors), formats and
# controls, but no white space.
_INVISIBLE = (
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160"
    "\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# Where Unicode keeps other forms of Latin letters and of ASCII's signs; a test looks for them everywhere else.
_BLOCKS = (
    (0x21, 0x24F),
    (0x250, 0x2FF),
    (0x1D00, 0x1DBF),
    (0x2070, 0x209F),
    (0x2100, 0x218F),
    (0x2460, 0x24FF),
    (0x3380, 0x33FF),
    (0xA7F0, 0xA7FF),
    (0xFE50, 0xFE6F),
    (0xFF00, 0xFF5F),
    (0x1CCD6, 0x1CCF9),
    (0x1D400, 0x1D7FF),
    (0x1F100, 0x1F1FF),
)


def fold(text: str) -> str:
    """The text as somebody reads it who sees no difference of form or case, nor what is invisible."""
    return unicodedata.normalize("NFKC", re.sub(f"[{_INVISIBLE}]", "", text)).casefold()


def _forms() -> dict[str, str]:
    """What characters are folded to -> all the characters that are, for every part of what the rule names."""
    wanted = {name[start:end] for name in FENCES for start in range(len(name)) for end in range(start + 1, len(name))}
    found: dict[str, str] = {}
    for first, last in _BLOCKS:
        for character in map(chr, range(first, last + 1)):
            folded = unicodedata.normalize("NFKC", character).casefold()
            if folded in wanted or folded in "<>|/":
                found[folded] = found.get(folded, "") + character
    return found


_FORMS = _forms()


def _spelled(rest: str) -> str:
    """A pattern for a word in whatever forms, character by character; one character may stand for several letters."""
    if not rest:
        return ""
    ways = [end for end in range(1, len(rest) + 1) if rest[:end] in _FORMS]
    each = [f"[{re.escape(_FORMS[rest[:end]])}][{_INVISIBLE}]*+{_spelled(rest[end:])}" for end in ways]
    return each[0] if len(each) == 1 else f"(?:{'|'.join(each)})"


_LESS, _MORE, _BAR, _SLASH = (f"[{re.escape(_FORMS[sign])}]" for sign in "<>|/")
_NO_SIGN = f"[^{_BLANK}{re.escape(_FORMS['<'] + _FORMS['>'] + _FORMS['|'])}]"
_CONTROL = f"{_BAR}{_NO_SIGN}++{_BAR}[{_INVISIBLE}]*+{_MORE}"
_TAG = f"(?:{_SLASH}[{_INVISIBLE}{_BLANK}]*+)?(?:{'|'.join(map(_spelled, FENCES))})"
_MARK = re.compile(f"{_LESS}(?=[{_INVISIBLE}]*+(?:{_CONTROL}|{_TAG}))")


def neutralise(text: str) -> str:
    """The text with a space behind each `<` that begins what could be taken for a control token or a tag of a fence.

    `<|eot_id|>` becomes `< |eot_id|>`, `</document>` becomes `< /document>`: still legible, no longer a token.
    """
    if not any(sign in text for sign in _FORMS["<"]):  # most texts; a pattern of several signs is no fast search
        return text
    return _MARK.sub(r"\g<0> ", text)


def marks(text: str) -> int:
    """How many control tokens and tags of fences there are in a text."""
    return len(_MARK.findall(text))
