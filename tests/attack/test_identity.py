"""Attacks on who is who: tokens, names, and what is asserted, over real connections."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from websockets.exceptions import InvalidStatus

from gortc.admission import Limits
from gortc.admission.static import hash_password
from tests.attack.kit import REALM, Attacker, Honest, Victim, opening
from tests.page import Page
from tests.wire.kit import Peer

LIMITS = Limits()
Make = Callable[..., Victim]
KEY = rsa.generate_private_key(65537, 2048)
NEXT = rsa.generate_private_key(65537, 2048)
ALICE, BOB = f"alice@{REALM}", f"bob@{REALM}"


def key_set(path: Path, **keys: rsa.RSAPrivateKey) -> str:
    """A JWKS file, in one step; its path."""
    rows = [
        {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": kid} for kid, key in keys.items()
    ]
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"keys": rows}))
    new.replace(path)
    return str(path)


def token(sub: str = ALICE, kid: str = "one", key: rsa.RSAPrivateKey = KEY, **more: Any) -> str:
    """A good one, but for `more`."""
    claims = {"sub": sub, "aud": "gortc", "exp": int(time.time()) + 60, "jti": os.urandom(8).hex(), **more}
    return jwt.encode(claims, key, "RS256", {"kid": kid})


def forged(alg: str, secret: bytes = b"", **more: Any) -> str:
    """One that nobody has signed who may."""
    claims = {"sub": ALICE, "aud": "gortc", "exp": int(time.time()) + 60}

    def part(octets: bytes) -> str:
        return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()

    text = ".".join(part(json.dumps(what).encode()) for what in ({"alg": alg, "typ": "JWT", **more}, claims))
    return f"{text}.{part(hmac.digest(secret, text.encode(), hashlib.sha256) if secret else b'')}"


def status(server: Victim, userid: str, show: str | None, how: str = "header") -> int:
    """What a peer gets that shows a token."""
    attacker = Attacker(server.port)
    try:
        if show is None:
            return attacker.handshake(userid)
        if how == "query":
            return attacker.handshake(f"{userid}&token={quote(show)}")
        if how == "subprotocol":
            return attacker.handshake(userid, Sec_WebSocket_Protocol=f"jsip, jsip.token.{quote(show)}")
        return attacker.handshake(userid, Authorization=f"Bearer {show}")
    finally:
        attacker.close()


@pytest.mark.proves("C-65", "C-66")
def test_tokens(victim: Make, tmp_path: Path, page: Page) -> None:
    """Each attack on a token, and a key set that rotates."""
    keys = tmp_path / "jwks.json"
    key_set(keys, one=KEY)
    server = victim(f'auth={{"jwt": {{"keys": {str(keys)!r}, "audience": "gortc"}}}}, limits=Limits(failures=None)')
    now = int(time.time())
    public = KEY.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    tries: dict[str, tuple[str, str | None, int]] = {
        "a good token": (ALICE, token(), 101),
        "no token": (ALICE, None, 401),
        "another userid's": (BOB, token(), 403),
        "a node's name": ("b.test", token(), 403),
        "a token for a node's name": ("b.test", token("b.test"), 403),
        "a token for another domain's": ("alice@b.test", token("alice@b.test"), 403),
        "expired": (ALICE, token(exp=now - 60), 401),
        "not valid yet": (ALICE, token(nbf=now + 60), 401),
        "another audience": (ALICE, token(aud="other"), 401),
        "no audience": (ALICE, token(aud=None), 401),
        "alg none": (ALICE, forged("none"), 401),
        "alg None": (ALICE, forged("None", kid="one"), 401),
        "RS256's key as HS256's secret, PEM": (ALICE, forged("HS256", pem), 401),
        "RS256's key as HS256's secret, PEM, its kid": (ALICE, forged("HS256", pem, kid="one"), 401),
        "RS256's key as HS256's secret, DER": (ALICE, forged("HS256", der), 401),
        "its own key in its head": (
            ALICE,
            jwt.encode(
                {"sub": ALICE, "aud": "gortc", "exp": now + 60},
                NEXT,
                "RS256",
                {"jwk": json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(NEXT.public_key()))},
            ),
            401,
        ),
        "a kid that is a path": (ALICE, token(kid="../../etc/passwd"), 401),
        "a key that is not there": (ALICE, token(kid="two", key=NEXT), 401),
        "a part cut off": (ALICE, token()[:-8], 401),
        "8 KB": (ALICE, token(x="y" * 9000), 401),
    }
    for what, (userid, show, wanted) in tries.items():
        assert status(server, userid, show) == wanted, what
    key_set(keys, one=KEY, two=NEXT)
    assert status(server, ALICE, token(kid="two", key=NEXT)) == 101
    key_set(keys, two=NEXT)
    assert status(server, ALICE, token()) == 401
    keys.write_text("{")  # a mistake of whoever rotates: the old ones stay
    assert status(server, ALICE, token(kid="two", key=NEXT)) == 101
    page.add(f"{len(tries) - 1} bad tokens: {', '.join(list(tries)[1:])}", "401; 403 for another's name")
    page.add(
        "a key set that rotates, and one that is broken",
        "the new key counts at once, the old one no more; the broken set is left aside",
    )


@pytest.mark.proves("C-65")
def test_a_token_that_was_used(victim: Make, tmp_path: Path, page: Page) -> None:
    keys = key_set(tmp_path / "jwks.json", one=KEY)
    server = victim(f'auth={{"jwt": {{"keys": {keys!r}, "audience": "gortc", "once": True}}}}')
    text = token()
    assert status(server, BOB, text) == 403  # whoever has stolen it does not use it up
    codes = [status(server, ALICE, text) for _ in range(5)]
    assert codes == [101, 401, 401, 401, 401]
    page.add("a token used 5 times (`once`)", "101 once, then 401")


@pytest.mark.proves("C-64")
def test_no_token_in_any_log(victim: Make, tmp_path: Path, page: Page) -> None:
    """Good and bad ones, tokens and passwords, by all ways, and with all that can be logged switched on."""
    keys = key_set(tmp_path / "jwks.json", one=KEY)
    users = {BOB: hash_password("correct horse battery")}
    server = victim(
        f'auth={{"jwt": {{"keys": {keys!r}, "audience": "gortc"}}, "static": {{"users": {users!r}}}}}, trace=True',
        level="debug",
    )
    secrets = []
    for how in ("header", "query", "subprotocol"):
        for show in (token(), token(exp=1), token(aud="other"), token(kid="?"), forged("none"), token()[:-5]):
            secrets.append(show)
            assert status(server, ALICE, show, how) == (
                101 if show == secrets[0] or secrets.index(show) % 6 == 0 else 401
            )
    for word in ("correct horse battery", "wrong staple"):
        shown = base64.b64encode(f"{BOB}:{word}".encode()).decode()
        secrets += [word, shown]
        wanted = 101 if word.startswith("correct") else 401
        assert Attacker(server.port).handshake(BOB, Authorization=f"Basic {shown}") == wanted
    for bad in ("Bearer", "Bearer a b", "Basic !!!secret!!!", "Digest username=secret"):
        secrets.append("secret")
        assert Attacker(server.port).handshake(BOB, Authorization=bad) in (400, 401)
    show = token()
    secrets.append(show)
    peer = Peer(server.node, "alice", additional_headers={"Authorization": f"Bearer {show}"})
    peer.open("MESSAGE", f"talk@{REALM}", Router=f"{REALM};type=talk", Body="hello hello").expect(200)
    peer.leave()
    server.process.stop()
    log = server.log()
    assert "hello hello" in log  # the trace is on
    assert '"debug"' in log
    for secret in secrets:
        # Not even a part: neither its signature nor its claims.
        for part in [secret, quote(secret), *[piece for piece in secret.split(".") if len(piece) > 40]]:
            head = json.dumps({"alg": "RS256", "kid": "one", "typ": "JWT"}).encode()
            if part != base64.urlsafe_b64encode(head).rstrip(b"=").decode():
                assert part not in log, part
    page.add(
        f"{len(secrets)} tokens and passwords, by header, query and subprotocol; all is logged that can be",
        f"none is in the {len(log.splitlines())} lines of the log",
    )


@contextmanager
def application(answers: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[int]:
    """An application that is asked who may connect."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            with suppress(ConnectionError):  # nobody waits for it any more
                answers(self)

        def log_message(self, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.proves("C-67")
def test_an_application_that_fails(victim: Make, page: Page) -> None:
    """It hangs, is late, fails, answers nonsense, or is not there: nobody gets in by that, and whoever is in notices
    nothing. Then it is well again."""
    mood, over = ["well"], threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        assert body["type"] == "ws"
        what = "well" if "honest" in body["url"] else mood[0]
        if what in ("hangs", "late"):
            over.wait(60 if what == "hangs" else 1.5)
        if what == "nonsense":
            handler.wfile.write(b"nonsense\r\n\r\n")
            return
        code = {"fails": 500, "refuses": 403, "redirects": 302}.get(what, 200)
        handler.send_response(code)
        if code == 302:
            handler.send_header("Location", "/elsewhere")
        handler.end_headers()

    wanted = {"well": 101, "refuses": 403, "fails": 503, "redirects": 503, "nonsense": 503, "late": 503, "hangs": 503}
    with application(answer) as port:
        hook = {"url": f"http://127.0.0.1:{port}/", "timeout": 1.0, "pending_max": 20}
        server = victim(f'auth={{"webhook": {hook!r}}}, limits=Limits(failures=None, logins=None)')
        with Honest(server, stays=True) as honest:
            for what, code in wanted.items():
                mood[0] = what
                assert status(server, ALICE, None) == code, what
            attackers = [Attacker(server.port) for _ in range(50)]
            mood[0] = "hangs"
            for at, attacker in enumerate(attackers):  # all at once: more than may be asked about
                attacker.socket.sendall(opening(f"u{at}@{REALM}", server.port, {}))
            assert {attacker.status() for attacker in attackers} == {503}
            mood[0] = "well"
            assert status(server, ALICE, None) == 101
        over.set()
        for attacker in attackers:
            attacker.close()
    page.add(
        f"an application (webhook) that {', '.join(list(wanted)[1:])}", "503, or 403 where it refuses", honest.told()
    )


@pytest.mark.proves("C-71")
def test_who_guesses_passwords(victim: Make, page: Page) -> None:
    """After so many failures its address gets 429, also for the right one. Another address is not touched."""
    assert LIMITS.failures is not None
    users = {ALICE: hash_password("right"), f"honest@{REALM}": hash_password("honest")}
    server = victim(f'auth={{"static": {{"users": {users!r}}}}}, proxies=()')

    def guess(word: str, address: str = "127.0.0.66") -> int:
        shown = base64.b64encode(f"{ALICE}:{word}".encode()).decode()
        attacker = Attacker(server.port, address)
        try:
            return attacker.handshake(ALICE, Authorization=f"Basic {shown}")
        finally:
            attacker.close()

    shown = base64.b64encode(f"honest@{REALM}:honest".encode()).decode()
    with Honest(server, Authorization=f"Basic {shown}") as honest:
        begin = time.monotonic()
        codes = Counter(guess(f"guess{at}") for at in range(200))
        took = time.monotonic() - begin
        assert set(codes) == {401, 429}
        assert codes[401] <= LIMITS.failures.burst + took * LIMITS.failures.per_second + 1
        assert guess("right") == 429
        assert guess("right", "127.0.0.67") == 101
    page.add("200 passwords guessed from one address", f"{codes[401]} x 401, {codes[429]} x 429", honest.told())


@pytest.mark.proves("C-69", "C-70")
def test_names_that_are_not_ones_own(victim: Make, page: Page) -> None:
    """From and P-Asserted-Identity, of a user, of a node, and of a node that is trusted, as their callee sees them."""
    names = (ALICE, BOB, "b.test", "c.test")
    users = {name: hash_password(name) for name in names}
    server = victim(f'auth={{"static": {{"users": {users!r}}}}}, nodes=("b.test", "c.test"), trusted_nodes=("c.test",)')

    def peer(name: str) -> Peer:
        shown = base64.b64encode(f"{name}:{name}".encode()).decode()
        return Peer(server.node, name, whole=True, additional_headers={"Authorization": f"Basic {shown}"})

    bob = peer(BOB)
    king = {"P-Asserted-Identity": "king@palace.example"}
    seen: dict[str, Any] = {}
    for name in (ALICE, "b.test", "c.test"):
        caller = peer(name)
        up = caller.open("INVITE", BOB, From=name if "@" in name else f"carol@{name}", **king)
        down = bob.answering("INVITE")
        seen[name] = down.first.get("P-Asserted-Identity")
        down.reply(200, **king)
        answer = up.expect(200)
        # Bob is a user: what he asserts is that he is Bob. Only whom we trust is told.
        assert answer.get("P-Asserted-Identity") == (None if name == "b.test" else BOB)
        up.ack()
        down.expect("ACK")
        up.send("INFO", **king)
        info = down.expect("INFO")
        assert info.get("P-Asserted-Identity") == seen[name]
        down.reply(200, info)
        up.expect(200)
        up.send("BYE")
        down.reply(200, down.expect("BYE"))
        up.expect(200)
        for claimed in (BOB, "king@palace.example") if name == ALICE else ():
            caller.open("INVITE", BOB, From=claimed).expect(403)
        caller.leave()
    assert seen == {ALICE: ALICE, "b.test": "b.test", "c.test": "king@palace.example"}
    page.add(
        "From and `P-Asserted-Identity` of somebody else: of a user, of a node, of a trusted node; in requests, in a "
        "dialogue, in responses",
        "From of a user's: 403; asserted is who is authenticated, but for the trusted node, whose word counts",
    )
    with pytest.raises(InvalidStatus):
        Peer(server.node, "d.test", whole=True)


@pytest.mark.proves("C-22", "C-66", "C-69", "C-70", "C-90", "C-91", "C-92", "C-93")
def test_a_second_identity_by_another_spelling(victim: Make, page: Page) -> None:
    """Alice comes back under each spelling of her name: it is the same channel, the same limit, the same From and
    `P-Asserted-Identity`. Other names, however near, are not hers."""
    users = {"sip:alice@GORTC.local": hash_password(ALICE), BOB: hash_password(BOB)}
    limits = 'Limits(failures=None, methods={"MESSAGE": Rate(0.001, 12)})'
    server = victim(f'auth={{"static": {{"users": {users!r}}}}}, limits={limits}')

    def basic(name: str, password: str) -> str:
        return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()

    spelled = [
        ALICE, "alice@GORTC.Local", f"sip:{ALICE}", f"SIP:{ALICE}", f"sips:{ALICE}", f"%61lice@{REALM}",
        f"sip:%61%6C%69%63%65@{REALM.upper()}", f"SipS:alic%65@{REALM}", f"al%69ce@{REALM}",
    ]  # fmt: skip
    near = {
        f"pbx:{ALICE}": 401, f"tel:{ALICE}": 401, f"Alice@{REALM}": 401, f"alice%40evil@{REALM}": 401,
        f"sip%3A{ALICE}": 401, f"alice%00@{REALM}": 401, f"%2561lice@{REALM}": 401, f"{ALICE}.": 401,
        "alice@gortc\u3002local": 400, "alice@gortc.loca\u217c": 400, "alice@\uff47ortc.local": 400,
        f"{ALICE}:5060": 400, f"{ALICE};x=1": 400,
    }  # fmt: skip
    bob = Peer(server.node, BOB, whole=True, additional_headers={"Authorization": basic(BOB, BOB)})
    before: Peer | None = None
    codes: list[int] = []
    for at, name in enumerate(spelled):
        # RFC 7617 section 2: a user of Basic has no colon.
        shown = {"Authorization": basic(f"%61lice@{REALM.upper()}" if at % 2 else ALICE, ALICE)}
        alice = Peer(server.node, name, whole=True, additional_headers=shown)
        if before is not None:
            assert before.closed() == (4001, "replaced")
            before.leave()
        before = alice
        for claimed in (name, spelled[-1 - at]):
            talk = alice.open("MESSAGE", BOB, From=claimed)
            if len(codes) < 12:
                down = bob.answering("MESSAGE")
                assert down.first["P-Asserted-Identity"] == ALICE
                down.reply(200)
            answer = alice.receive()
            assert answer["DialogueID"] == talk.id
            codes.append(answer["Code"])
            if codes[-1] == 503:
                break
        for claimed in () if codes[-1] == 503 else near:
            alice.open("OPTIONS", BOB, From=claimed).expect(403, Reason=f"From must be {ALICE}")
    assert codes == [200] * 12 + [503] * (len(codes) - 12)
    assert len(codes) > 12
    for name, code in near.items():
        attacker = Attacker(server.port)
        assert attacker.handshake(quote(name), Authorization=basic(ALICE, ALICE)) == code, name
        attacker.close()
    page.add(
        f"a user connects under {len(spelled)} spellings of its name, and tries {len(near)} names that are near it, as "
        "userid and as From",
        "one channel, one limit, one `P-Asserted-Identity`; another name: 401 or 400, as From 403",
    )
