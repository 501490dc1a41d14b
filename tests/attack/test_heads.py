"""What the head of an opening handshake makes the server keep: of strangers who wait, and of users who are silent."""

from __future__ import annotations

import itertools
import string
import subprocess
import sys
from collections import Counter
from collections.abc import Callable

import pytest

from tests.attack.crowd import rss
from tests.attack.kit import REALM, ROOT, Attacker, Honest, Victim, opening
from tests.attack.test_memory import Watch
from tests.page import Page

Make = Callable[..., Victim]
LETTERS = string.ascii_lowercase + string.digits
NAMES = ["".join(one) for length in (2, 3) for one in itertools.islice(itertools.product(LETTERS, repeat=length), 3000)]
HEAD_MAX = 16_000
EACH = 64.0
"""A connection that waits may take so many KB: its head is there, once as it is told to an authenticator."""


def head(port: int, userid: str, names: list[str], **headers: str) -> bytes:
    """A handshake with as many of these headers as fit."""
    text = opening(userid, port, headers)[:-2]
    for name in names:
        if len(text) > HEAD_MAX:
            break
        text += f"{name}:\r\n".encode()
    return text + b"\r\n"


LONG = [name + ":" + "x" * 150 for name in NAMES[:90]]
"""As many bytes in as few headers as may be."""
HEADS = {"2,000 short headers": (NAMES, 431), "90 long headers": (LONG, 401)}
BEFORE = {
    "2,000 short headers": "99 MB; 502 MB once they waited for their turn",
    "90 long headers": "12 MB",
    "2,000 short headers, silent": "400 x 101; 308 KB each",
    "90 long headers, silent": "400 x 101; 52 KB each",
}


@pytest.mark.proves("C-6")
@pytest.mark.parametrize("kind", HEADS)
def test_strangers_who_wait_for_their_password(victim: Make, page: Page, kind: str) -> None:
    """From three addresses, none of which has an account."""
    names, status = HEADS[kind]
    command = [sys.executable, "-m", "gortc.admission.static", f"honest@{REALM}"]
    made = subprocess.run(command, input="secret\nsecret\n", capture_output=True, text=True, cwd=ROOT, check=True)
    userid, _, hashed = made.stdout.strip().partition(":")
    server = victim(f'auth={{"static": {{"users": {{{userid!r}: {hashed!r}}}}}}}, proxies=()')
    number = 900
    basic = "Basic aG9uZXN0QGdvcnRjLmxvY2FsOndyb25n"
    watch = Watch(server)
    attackers = [Attacker(server.port, f"127.0.2.{at % 3 + 1}") for at in range(number)]
    with watch:
        for at, attacker in enumerate(attackers):
            attacker.socket.sendall(head(server.port, f"u{at}@{REALM}", names, Authorization=basic))
        codes = Counter(attacker.status() for attacker in attackers)
    for attacker in attackers:
        attacker.close()
    told = ", ".join(f"{many} x {code}" for code, many in sorted(codes.items()) if code)
    page.add(
        f"{number} strangers of 3 addresses who wait for `static`, each with {kind}",
        f"it has grown by {watch.grown:.0f} MB ({told})",
        "",
        BEFORE[kind],
    )
    assert codes.keys() <= {status, 429, 503}
    assert watch.grown < number * EACH / 1024


@pytest.mark.proves("C-6")
@pytest.mark.parametrize("kind", HEADS)
def test_users_who_are_silent(victim: Make, page: Page, kind: str) -> None:
    """Of what they have said in their handshake nothing is left."""
    names, status = HEADS[kind]
    server = victim('auth="none", proxies=(), limits=Limits(handshakes=None)')
    number = 400
    plain = [Attacker(server.port, "127.0.1.1") for _ in range(number)]
    for at, attacker in enumerate(plain):
        assert attacker.handshake(f"plain{at}@{REALM}") == 101
    before = rss(server.process.pid)
    with Honest(server, stays=True) as honest:
        large = [Attacker(server.port, "127.0.1.2") for _ in range(number)]
        codes = Counter[int]()
        for at, attacker in enumerate(large):
            attacker.socket.sendall(head(server.port, f"large{at}@{REALM}", names))
            codes[attacker.status()] += 1
        grown = rss(server.process.pid) - before
    for attacker in (*plain, *large):
        attacker.close()
    page.add(
        f"{number} users who are silent, with {kind} in their handshake",
        f"{', '.join(f'{many} x {code}' for code, many in codes.items())}; {grown / number * 1024:.0f} KB each",
        honest.told(),
        BEFORE[f"{kind}, silent"],
    )
    assert codes.keys() == {431 if status == 431 else 101}
    assert grown / number * 1024 < EACH / 2
