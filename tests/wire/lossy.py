"""A network of one's own, with a loopback that loses packets. Needs root, iproute2 and nftables."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

CLONE_NEWNET = 0x40000000  # linux/sched.h

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Loopback:
    """The loopback of this network: what it loses."""

    def loses(self, percent: int) -> None:
        """So many of a hundred packets of TCP, at random; 100: it is down, and nobody is told."""
        rules = "flush ruleset; add table inet t; add chain inet t in { type filter hook input priority 0; };"
        if percent:
            which = f"numgen random mod 100 < {percent}" if percent < 100 else ""
            rules += f" add rule inet t in meta l4proto tcp {which} drop;"
        subprocess.run(["nft", rules], check=True)


@contextmanager
def lossy_network() -> Iterator[Loopback]:
    """What this thread opens, and the processes that it starts, are in a network of their own meanwhile."""
    outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _checked(_libc.unshare(CLONE_NEWNET))
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield Loopback()
        finally:
            _checked(_libc.setns(outside, CLONE_NEWNET))
    finally:
        os.close(outside)
