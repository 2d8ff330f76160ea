"""Sockets: a call in flight is an open file, and a process may have only so many of them."""

from __future__ import annotations

import resource
from contextlib import suppress

from vlaa_thinking.errors import SetupError

OTHERS = 128
"""Files that a build opens beside its calls: stores, images, what is written."""


def make_room(calls: int) -> None:
    """See that this process may open enough files for so many calls in flight.

    The soft limit (256 on macOS) is raised as far as need be; raises `SetupError` where the system sets a lower one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = calls + OTHERS
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard == resource.RLIM_INFINITY or hard >= wanted:
        with suppress(ValueError, OSError):  # macOS has one more limit behind an unlimited one
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return
    most = soft if hard == resource.RLIM_INFINITY else hard
    raise SetupError(
        f"generators/models.toml allows {calls:,} calls in flight, which with {OTHERS} other files are more than the {most:,} "
        f"that this process may open: lower max_concurrency there, or raise the limit (ulimit -n {wanted})"
    )
