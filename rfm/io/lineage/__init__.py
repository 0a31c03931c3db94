"""What a run read and wrote, told to others as OpenLineage events: to a file, or to any OpenLineage server.

The run makes `Moment`s, light and plain; a `Sender` turns them into events in a thread of its own, where the
client's import (0.6 seconds) keeps nobody waiting.
"""

from rfm.io.lineage.columns import LANDING
from rfm.io.lineage.moments import Data, Moment, run_id, without_credentials
from rfm.io.lineage.sending import Sender

__all__ = ["LANDING", "Data", "Moment", "Sender", "run_id", "without_credentials"]
