"""Detect the encoding of a file: by the words of its header, then by the letters of one language."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

from rfm.landing.decode import FORMATS, GZIP_MAGIC, UTF8_BOM, UTF16_BOMS
from rfm.landing.header import AUTO
from rfm.onboarding.columns import MADE, ROLES, name_score

WESTERN = (  # the letters of each language beside a to z
    "äöüÄÖÜß", "àâçèéêëîïôùûœæÀÇÈÉÊŒ", "áéíñóúüÁÉÍÑÓÚ¿¡", "àèéìòùÀÈÉ", "àáâãçéêíóôõúÁÂÃÇÉÊÍÓÔÕÚ", "åäöéÅÄÖ", "æøåéÆØÅ", "ëéèïöüó",
)  # fmt: skip
CENTRAL = (
    "ąćęłńóśźżĄĆĘŁŃÓŚŹŻ", "áčďéěíňóřšťúůýžÁČĎÉĚÍŇÓŘŠŤÚŮÝŽ", "áäčďéíĺľňóôŕšťúýžÁČĎÉÍĽŇÓŠŤÚÝŽ", "áéíóöőúüűÁÉÍÓÖŐÚÜŰ",
    "ăâîșțşţĂÂÎŞŢ", "čćđšžČĆĐŠŽ", "äöüÄÖÜß",
)  # fmt: skip
CODECS: dict[str, tuple[str, ...]] = {  # the most likely first
    "cp1252": WESTERN, "cp850": WESTERN, "mac_roman": WESTERN, "cp1250": CENTRAL, "iso8859_2": CENTRAL,
    "cp1254": ("çğıöşüÇĞİÖŞÜâî",), "cp1257": ("ąčęėįšųūžĄČĘĖĮŠŲŪŽ", "āčēģīķļņšūžĀČĒĢĪĶĻŅŠŪŽ", "äõöüšžÄÕÖÜŠŽ"),
    "cp1255": ("א-ת",), "cp1251": ("а-яіїєґА-Я",), "koi8_r": ("а-яА-Я",), "cp866": ("а-яА-Я",),
    "cp1253": ("α-ωάέήίόύώϊΑ-ΩΆΈΉΊΌ",), "cp1256": ("ء-ي",), "cp949": ("가-힣",), "gb18030": ("一-龠",),
    "euc_jp": ("ぁ-ヶー一-龠",), "big5": ("一-龠",), "cp932": ("ぁ-ヶー一-龠",),
}  # fmt: skip
COMMON = "€£°’‘“”–…§«»º\u00a0"
USUAL = {  # first bytes of the characters that are in daily use, of codecs with two bytes per character
    "cp949": ((0xB0, 0xC8),), "gb18030": ((0xB0, 0xD7),), "big5": ((0xA4, 0xC6),), "euc_jp": ((0xA4, 0xA5), (0xB0, 0xCF)),
    "cp932": ((0x82, 0x83), (0x88, 0x98)),
}  # fmt: skip
NAMES = {"cp1252": "Windows-1252", "cp1250": "Windows-1250", "cp1251": "Windows-1251", "cp932": "Shift JIS"}


def encoding_of(raw: bytes) -> tuple[str, str]:
    """Detect an encoding; return it in words, and as the codec to set."""
    if raw.startswith(GZIP_MAGIC):
        return "gzip", AUTO
    if label := next((one.label for one in FORMATS if one.label and re.match(one.magic, raw, re.DOTALL)), ""):
        return label, AUTO
    if raw.startswith(UTF16_BOMS):
        return "UTF-16", AUTO
    if codec := _utf16(raw[: 1 << 16]):
        return "UTF-16 without a byte order mark", codec
    if _is_utf8(raw):
        return "UTF-8 with a byte order mark" if raw.startswith(UTF8_BOM) else "ASCII" if raw.isascii() else "UTF-8", AUTO
    sample = raw[: 1 << 18]
    codec = max(CODECS, key=lambda one: _likeness(sample, one))
    return NAMES.get(codec, codec), AUTO if codec == "cp1252" else codec


def _utf16(raw: bytes) -> str:
    """Return the order of bytes of UTF-16 without a mark: digits and separators have a zero on the same side; else nothing."""
    zeros = raw[::2].count(0), raw[1::2].count(0)
    if max(zeros) < 0.1 * len(raw) / 2 or min(zeros) > 0.1 * max(zeros):
        return ""
    return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"


def _likeness(raw: bytes, codec: str) -> tuple[int, float]:
    """Return how much a text looks like one of a codec: headers that are words, and letters of one language."""
    text = raw.decode(codec, "replace")
    odd = Counter(letter for letter in text if not letter.isascii())
    words = {word for line in text.splitlines()[:5] for word in re.split(r"[,;|\t\"]", line) if not word.isascii()}
    known = sum(any(name_score(role, word) >= MADE for role in ROLES) for word in words)
    usual = {letter for letter in odd if _is_usual(letter, codec)}
    languages = [usual & set(re.findall(f"[{letters}{COMMON}]", "".join(odd))) for letters in CODECS[codec]]
    fitting = max(sum(map(odd.__getitem__, letters)) for letters in languages)
    swapped = sum(one.islower() and other.isupper() and not other.isascii() for one, other in pairwise(text))  # as in "hÉlÈne"
    return known, (fitting - swapped) / max(odd.total(), 1)


def _is_usual(letter: str, codec: str) -> bool:
    """Return True for a letter in daily use."""
    first = letter.encode(codec, "replace")[0]
    return codec not in USUAL or any(least <= first <= most for least, most in USUAL[codec])


def _is_utf8(raw: bytes) -> bool:
    """Return True if bytes are UTF-8, apart from a last character that may be cut."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(raw) - 4
    return True
