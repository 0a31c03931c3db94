"""The tables by name, on Delta: read, replace a day, append once; landing files taken in exactly once.

*Exactly once* rests on Delta's transaction ids: each landing file that a commit holds leaves its name in the
table's log, in the same commit as its rows. A run that died, is repeated or races another asks the log first.
"""

from rfm.io.lake import intake
from rfm.io.lake.handles import scratch
from rfm.io.lake.tables import Lake, State

__all__ = ["Lake", "State", "intake", "scratch"]
