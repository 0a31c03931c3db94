"""Where landing files lie: a folder, a bucket, or any other address that fsspec knows."""

from __future__ import annotations

import os

import fsspec

from rfm.errors import without_login
from rfm.schema import SettingsError

S3 = ("s3://", "s3a://")
PATIENCE = {"connect_timeout": 4, "read_timeout": 6, "retries": {"mode": "standard", "total_max_attempts": 3}}
"""A dead endpoint is given up after about 20 seconds; one that is busy is asked again."""


def filesystem(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the file system of a folder or URL, and the path on it; bucket listings are never remembered.

    Credentials, endpoint and region come from the environment, a profile or a role.

    Raises
    ------
    SettingsError
        If there is no file system for such a URL, or a password stands in it.
    """
    bucket = without_login(url).startswith(S3)
    options = {"use_listings_cache": False, "skip_instance_cache": True, "config_kwargs": PATIENCE, "client_kwargs": _region()}
    try:
        system, root = fsspec.core.url_to_fs(url, **(options if bucket else {}))
    except (ImportError, ValueError) as error:
        raise SettingsError(f"{url}: {error}; use a folder or an s3:// address") from None
    if bucket:
        system.retries = 1  # PATIENCE says how often; s3fs would do all of that five times
    return system, root


def look(system: fsspec.AbstractFileSystem, root: str) -> None:
    """Ask a bucket for one name under a path: the answer to that, unlike to `exists`, tells why a bucket is out of reach.

    Parameters
    ----------
    system, root
        As `filesystem` gives them; anything but a bucket is left alone.
    """
    if "s3" in system.protocol:
        bucket, _, prefix = root.partition("/")
        system.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)


def _region() -> dict[str, str]:
    """Return the region under the name that other tools give it; botocore itself knows ``AWS_DEFAULT_REGION`` and profiles."""
    return {"region_name": os.environ["AWS_REGION"]} if os.environ.get("AWS_REGION") else {}
