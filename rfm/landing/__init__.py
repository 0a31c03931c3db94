"""Landing files: found on disk or in a bucket, read as text so that nothing is lost.

A line that does not fit the header is kept whole in ``_rescued_data``; a file that is not a sales file is
refused by name while the others go on.
"""
