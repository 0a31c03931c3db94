"""Bronze to silver and quarantine: text becomes types, and every row is kept in one of the two."""

from rfm.core.cleaning.clean import clean, judge
from rfm.core.cleaning.expectations import EXPECTATIONS, SEVERITIES, Expectation

__all__ = ["EXPECTATIONS", "SEVERITIES", "Expectation", "clean", "judge"]
