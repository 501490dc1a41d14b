"""Life: when a connection is given up. docs/jsip.md section 1, "Liveness". Only what arrives proves life."""

from __future__ import annotations

from gortc.jsip.times import Times


def given_up(times: Times, now: float, heard: float, stalled_since: float | None) -> tuple[float, str, str]:
    """In how many seconds a connection is to be dropped, not above 0 where it is now; under which name, and why.

    `heard` is when the last byte arrived; `stalled_since`, where it is not None, since when nothing could be written.
    """
    dead = heard + times.dead - now
    stuck = dead if stalled_since is None else stalled_since + times.write - now
    if stuck < dead:
        return stuck, "slow reader", f"nothing could be written for {times.write:g} s"
    return dead, "dead peer", f"nothing arrived for {times.dead:g} s"
