"""How severe it is when a rule is broken: the rules' own severities, and the shop's choice."""

from __future__ import annotations

from collections.abc import Mapping

from rfm.errors import SettingsError, unknown

REPEATS = "unique_surrogate_key"  # a rule about rows together, which no expression of one row can hold


def severities(defaults: Mapping[str, str], chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the severity of every expectation, the shop's own choice first.

    Parameters
    ----------
    defaults
        Severity of each rule about one row: ``drop``, ``warn`` or ``fail``.
    chosen
        Settings ``[expectations]``: name and severity.

    Returns
    -------
    dict
        Of all rules, the one about repeated keys included.

    Raises
    ------
    SettingsError
        If a rule does not exist, if one that silver's contract rests on is only to warn, or if repeated keys are
        to be dropped, of which nobody knows the right one.

    Examples
    --------
    >>> severities({"known_country": "warn"}, {"known_country": "drop"})
    {'known_country': 'drop', 'unique_surrogate_key': 'warn'}
    """
    known = {**defaults, REPEATS: "warn"}
    if strange := [name for name in chosen if name not in known]:
        raise SettingsError(f"expectations: {unknown('rule', strange, known)}")
    if soft := [name for name, severity in chosen.items() if severity == "warn" and known[name] == "drop"]:
        raise SettingsError(f"expectations: {', '.join(soft)}: silver's columns rest on this rule; use drop or fail, not warn")
    if chosen.get(REPEATS) == "drop":
        raise SettingsError(f"expectations: {REPEATS}: nobody knows which row of a key is right; use warn or fail, not drop")
    return {**known, **chosen}
