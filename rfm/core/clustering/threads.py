"""Threads: as many of ours as the work has parts, and one of the libraries' own in each, or they get in each other's way."""

from __future__ import annotations

from functools import cache
from typing import Any

THREADS = 2


def alone(library: str) -> Any:
    """Keep the libraries' own threads down to one, from now on or, as a context, for a while.

    Parameters
    ----------
    library
        ``openmp`` (scikit-learn): holds for the calling thread. ``blas`` (products of matrices): for all.
    """
    return _pools().limit(limits=1, user_api=library)


@cache
def _pools() -> Any:
    """Find the libraries' threads, once: that takes some milliseconds."""
    import sklearn.cluster  # noqa: F401  # loaded first, and scipy with it, so that they are found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
