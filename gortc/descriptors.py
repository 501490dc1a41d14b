"""Open files: as many as the system lets us have, for each connection is one. docs/operations.md, "Open files"."""

from __future__ import annotations

import resource
import sys
from typing import Final

from twisted.logger import Logger

RESERVE: Final = 256
"""So many are not the door's: they are for operators, next hops, files; who is in has as many as are left."""

_log = Logger(namespace="gortc.server")


def open_files() -> int:
    """How many may be open, after more was asked for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):  # there are systems whose hard limit is more than may be
            hard = soft
        else:
            _log.info("{hard} files may be open, instead of {soft}", hard=_named(hard), soft=soft)
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard


def fit(files: int, handshaking: int) -> int:
    """How many of them connections may have that are at the door, and who is in. Says so where they are few."""
    most = max(1, files - RESERVE)
    if most < handshaking:
        _log.warn(
            "only {files} files may be open, so no more than {most} connections can be, instead of {handshaking} in "
            "their opening handshake alone: let it have {wanted} or more (LimitNOFILE= of systemd, ulimit -n, --ulimit "
            "nofile= of docker)",
            files=files,
            most=most,
            handshaking=handshaking,
            wanted=handshaking + RESERVE,
        )
    return most


def _named(limit: int) -> str:
    return "any number of" if limit == resource.RLIM_INFINITY else str(limit)
