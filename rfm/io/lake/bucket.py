"""What delta-rs and Polars need to know of a bucket; all of it comes from the environment, a profile or a role."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from rfm.errors import InputError, trouble

AMAZON = (".amazonaws.com", ".amazonaws.com.cn")
S3 = ("s3://", "s3a://")
PATIENCE = {"connect_timeout": "4s", "timeout": "20s", "max_retries": "5", "retry_timeout": "15s"}
"""A dead endpoint is given up after about 20 seconds; a conflict of two writers is no failure and no part of it."""
S3FS = {
    "use_listings_cache": False,
    "skip_instance_cache": True,
    "config_kwargs": {"connect_timeout": 4, "read_timeout": 6, "retries": {"mode": "standard", "total_max_attempts": 3}},
}
"""The same for s3fs, which reads what is no table."""


def options(url: str) -> dict[str, str] | None:
    """Return the storage options of delta-rs for the tables under a URL; none where it is no bucket.

    No key is among them: delta-rs is told to look for the credentials itself, where every client of S3 does, and
    to renew them when they expire. Commits are conditional puts, its default, so no lock table is needed.

    Parameters
    ----------
    url
        Folder or URL of the lake.

    Raises
    ------
    InputError
        If no credentials are found.
    """
    if not url.startswith(S3):
        return None
    session, client = _made()
    if not session.get_credentials():
        raise InputError(f"{url}: cannot be read ({trouble('NoCredentials')})")
    meta = client.meta
    own = not meta.endpoint_url.endswith(AMAZON)  # a server of one's own, such as MinIO
    where = {"aws_endpoint_url": meta.endpoint_url} if own else {}
    http = {"aws_allow_http": "true"} if meta.endpoint_url.startswith("http://") else {}
    region = {"aws_region": os.environ.get("AWS_REGION") or meta.region_name.replace("aws-global", "us-east-1")}
    return {**PATIENCE, **where, **http, **region, "aws_force_credential_load": "true"}


def credentials(url: str) -> dict[str, Any] | None:
    """Return what Polars needs beyond the options of a handle: it looks for keys in fewer places than delta-rs.

    Parameters
    ----------
    url
        Folder or URL of the lake.
    """
    found = _made()[0].get_credentials() if url.startswith(S3) else None
    if not found:
        return None
    keys = found.get_frozen_credentials()
    named = {"aws_access_key_id": keys.access_key, "aws_secret_access_key": keys.secret_key, "aws_session_token": keys.token}
    return {"max_retries": 5, **{name: value for name, value in named.items() if value}}


def _made() -> tuple[Any, Any]:
    """Return session and client, kept as long as the environment stays as it is: a role's keys are renewed in time."""
    return _make(frozenset((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))


@cache
def _make(environment: frozenset[tuple[str, str]]) -> tuple[Any, Any]:
    """Make session and client; the environment is the cache's key."""
    import botocore.session  # not at the top: a lake in a folder does without

    session = botocore.session.get_session()
    return session, session.create_client("s3")
