"""The style of the figures: amounts in words, colours."""

from __future__ import annotations

import pytest

from rfm.analysis.figures import style
from rfm.analysis.segments.rules import TIERS


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        (0, "£0"),
        (999.4, "£999"),
        (999.6, "£1.0 k"),
        (9_999.6, "£10 k"),
        (999_400, "£999 k"),
        (999_600, "£1.00 M"),
        (-1234, "−£1.2 k"),
    ],
)
def test_amounts_are_short(amount: float, said: str) -> None:
    assert style.short(amount, "£") == said


def test_every_tier_has_a_colour_of_its_own() -> None:
    assert set(style.TIER_COLOURS) == set(TIERS)
    assert len(set(style.TIER_COLOURS.values())) == len(TIERS)
    assert len(set(style.CLUSTER_COLOURS)) == 12
