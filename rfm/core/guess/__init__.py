"""Guess how a shop writes its sales: which column is which, dates, numbers, rules; each guess with its reason.

Tables of words and patterns tell (`words`, `dates.PATTERNS`, `numbers.MARKS`); nothing is read here and nothing is decided
for good: a guess says how sure it is, and a person can change it.
"""
