"""What can be read wrong without a sign of it, and what looks like it but is not."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from rfm.onboarding.profile import Profile
from tests.onboarding.test_evidence import LINES, ORDERS, TODAY, shop, values


def said(profile: Profile, about: str) -> list[str]:
    """Return the sentences of the doubts about a subject."""
    return [one.said for one in profile.doubts if one.about == about]


ITEMS: dict[str, Any] = ORDERS | {"Total": None, "Item": lambda i: f"Article {i % 7}"}


# ── decimal marks ──────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("quantity", "doubted"),
    [
        (lambda i: f"0.{100 + 7 * i}", True),
        (lambda i: f"1.{122 + 7 * i}" if i % 2 else "2", True),
        (lambda i: f"1.{100 + 50 * (i % 9)}" if i % 2 else "40", False),
        (lambda i: f"1.{122 + 7 * i}" if i % 2 else "640", False),
        (lambda i: f"0,{100 + 7 * i}", False),
    ],
)
def test_weights_with_another_decimal_mark_than_prices_are_doubted(quantity, doubted):
    profile = shop(**ITEMS, Quantity=quantity, Price=lambda i: f"{10 + 7 * i % 90},49")
    (*found,) = [one for one in profile.doubts if one.about == "numbers"]
    assert [one.share for one in found] == [1.0] * doubted
