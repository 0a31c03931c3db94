"""Landing files: found on disk or in a bucket, read as text so that nothing is lost.

A line that does not fit the header is kept whole in ``_rescued_data``; a file that is not a sales file is
refused by name while the others go on.
"""

from rfm.io.landing.files import LandingFile, has_files, list_files
from rfm.io.landing.parse import parse
from rfm.io.landing.place import filesystem, look
from rfm.io.landing.reading import Reading, read_files
from rfm.io.landing.source import Large
from rfm.io.landing.upload import Sent, upload

__all__ = [
    "LandingFile",
    "Large",
    "Reading",
    "Sent",
    "filesystem",
    "has_files",
    "list_files",
    "look",
    "parse",
    "read_files",
    "upload",
]
