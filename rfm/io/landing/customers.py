"""Customers without their ids: each id becomes a keyed hash as it is read, and no text of the file is kept that may hold one."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from rfm.dialect import BLANKS, FLAG, Columns
from rfm.schema import SettingsError

KEY = "RFM_CUSTOMER_KEY"  # environment variable


class Mask(NamedTuple):
    """What hides customers.

    Parameters
    ----------
    key
        Who has it can tell which customer is meant; nobody else can.
    """

    key: bytes

    def __call__(self, ids: Any) -> pa.Array:
        """Return a column of ids as hashes; what is missing stays so."""
        known = pa.chunked_array(ids) if isinstance(ids, pa.Array) else ids
        coded = known.combine_chunks().dictionary_encode()
        hashes = pa.array([self.one(text) for text in coded.dictionary.to_pylist()], pa.string())
        return pa.DictionaryArray.from_arrays(coded.indices, hashes).cast(pa.string())

    def one(self, text: str | None) -> str | None:
        """Return the hash of an id: HMAC-SHA-256, 16 hexadecimal digits of it behind a letter; ``13085.0`` is ``13085``."""
        plain = (text or "").strip(BLANKS).removesuffix(".0")
        return f"c{hmac.new(self.key, plain.encode(), hashlib.sha256).hexdigest()[:16]}" if plain else None

    def extra(self, columns: Mapping[int, str]) -> dict[int, str]:
        """Return the further columns that are kept, by place and name: none but the flag, as any may hold ids or names."""
        return {place: name for place, name in columns.items() if name == FLAG}

    def bad(self, lines: list[dict]) -> list[dict]:
        """Return lines that did not fit without their text."""
        return [{name: value for name, value in line.items() if name != "_raw"} for line in lines]


def mask_of(columns: Columns) -> Mask | None:
    """Return what hides the customers, if the shop wants that.

    Raises
    ------
    SettingsError
        If there is no key.
    """
    if not columns.hash_customers:
        return None
    if not (key := os.environ.get(KEY, "").encode()):
        raise SettingsError(f"[columns] hash_customers needs a key: set {KEY} in the environment, and keep it")
    return Mask(key)
