"""Landing files, on disk or in a bucket: find them, read them as text without losing a line, and refuse what is no sales file."""
