"""Landing files: found on disk or in a bucket, read as text so that nothing is lost.

A line that does not fit the header is kept whole in ``_rescued_data``; a file that is not a sales file is
refused by name while the others go on.
"""

from rfm.io.landing.files import LandingFile, has_files, list_files, read_files, run_date
from rfm.io.landing.parse import parse

__all__ = ["LandingFile", "has_files", "list_files", "parse", "read_files", "run_date"]
