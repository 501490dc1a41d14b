"""Tokens: which are good, and what each attack gets. RFC 7519, RFC 8725."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import Logger, capturedLogs

from gortc.admission import AuthContext, Handshake, Refused
from gortc.admission.jwt import load_jwt

RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
ED = ed25519.Ed25519PrivateKey.generate()
EC = ec.generate_private_key(ec.SECP256R1())
SECRET = b"0123456789abcdef0123456789abcdef"
ALICE = "alice@gortc.local"


def jwk(key: Any, algorithm: Any, **more: str) -> dict[str, Any]:
    """A key as a JWKS has it."""
    return {**json.loads(algorithm.to_jwk(key)), **more}


KEYS = {
    "keys": [
        jwk(RSA.public_key(), jwt.algorithms.RSAAlgorithm, kid="rsa", use="sig"),
        jwk(ED.public_key(), jwt.algorithms.OKPAlgorithm, kid="ed"),
        jwk(EC.public_key(), jwt.algorithms.ECAlgorithm, kid="ec", alg="ES256"),
        jwk(SECRET, jwt.algorithms.HMACAlgorithm, kid="oct"),
        jwk(OTHER_RSA.public_key(), jwt.algorithms.RSAAlgorithm, kid="enc", use="enc"),
    ]
}


def claims(**more: Any) -> dict[str, Any]:
    """Good ones, but for these; None takes one away."""
    made = {"sub": ALICE, "aud": "gortc", "exp": int(time.time()) + 60, **more}
    return {name: value for name, value in made.items() if value is not None}


def token(key: Any = RSA, alg: str = "RS256", kid: str | None = "rsa", head: Any = None, **more: Any) -> str:
    """One."""
    return jwt.encode(claims(**more), key, alg, {**({"kid": kid} if kid else {}), **(head or {})})


class Desk:
    """The authenticator, with its file."""

    def __init__(self, folder: Path, data: Any = KEYS, **config: Any) -> None:
        self.clock = Clock()
        self.path = folder / "keys"
        self.write(data)
        made = {"keys": str(self.path), "audience": "gortc", **config}
        made = {name: value for name, value in made.items() if value is not None}
        self._ask = load_jwt(AuthContext("jwt", made, "gortc.local", self.clock, Logger()))

    def write(self, keys: Any) -> None:
        """Another file in its place."""
        other = self.path.with_suffix(".new")
        other.write_bytes(keys if isinstance(keys, bytes) else orjson.dumps(keys))
        other.replace(self.path)

    def ask(self, text: str | None, userid: str = ALICE) -> Any:
        """Who shows it."""
        return self._ask(Handshake(userid, "", "/rtc", {}, text))

    def refused(self, text: str) -> str:
        """Why it is no good; the token is told nobody."""
        with pytest.raises(Refused) as caught:
            self.ask(text)
        assert caught.value.code == 401
        assert len(text) < 8 or text not in str(caught.value) + caught.value.log
        return caught.value.reason


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """One."""
    return Desk(tmp_path)


@pytest.mark.parametrize(
    ("key", "alg", "kid"),
    [
        (RSA, "RS256", "rsa"), (RSA, "PS256", "rsa"), (ED, "EdDSA", "ed"), (EC, "ES256", "ec"),
        (SECRET, "HS256", "oct"), (RSA, "RS256", None), (ED, "EdDSA", None),
    ],
)  # fmt: skip
def test_good_ones(desk: Desk, key: Any, alg: str, kid: str | None) -> None:
    assert desk.ask(token(key, alg, kid)) == ALICE
    assert desk.ask(None) is None


def test_who_it_is(tmp_path: Path) -> None:
    """The token says, not the peer; hosts have no case."""
    desk = Desk(tmp_path)
    assert desk.ask(token(sub="bob@gortc.local")) == "bob@gortc.local"
    assert desk.ask(token(sub="Bob@GORTC.local")) == "Bob@gortc.local"
    assert desk.ask(token(sub="100%40@gortc.local")) == "100%40@gortc.local"
    other = Desk(tmp_path, claim="userid")
    assert other.ask(token(userid="carol@gortc.local", sub="7")) == "carol@gortc.local"


@pytest.mark.proves("C-65")
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "value", ["1" + "0" * 400, "2e300", "9007199254740994", "1e999", "NaN", '"9007199254740"', "true"]
)
@pytest.mark.parametrize("config", [{}, {"once": True}, {"once": True, "lifetime_max": 600}], ids=str)
def test_a_time_that_is_none(tmp_path: Path, config: dict[str, Any], name: str, value: str) -> None:
    """Also one that no float holds: it is refused, and nothing fails."""
    desk = Desk(tmp_path, **config)
    body = json.dumps({"iat": 1, **claims(), name: 0}).replace(f'"{name}": 0', f'"{name}": {value}')
    head = {"alg": "RS256", "kid": "rsa"}
    data = segment(json.dumps(head).encode()) + b"." + segment(body.encode())
    signature = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).sign(data, RSA)
    assert "token" in desk.refused((data + b"." + segment(signature)).decode())


@pytest.mark.proves("C-65")
def test_the_latest_time_of_all(tmp_path: Path) -> None:
    desk = Desk(tmp_path, once=True)
    good = token(exp=2**53, iat=1.5, nbf=0)
    assert desk.ask(good) == ALICE
    assert "been used" in desk.refused(good)


@pytest.mark.proves("C-65")
@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"aud": "somebody"}, "somebody else's audience"), ({"aud": None}, "no aud"),
        ({"exp": int(time.time()) - 60}, "has expired"), ({"exp": None}, "no exp"), ({"exp": "soon"}, "can't be read"),
        ({"nbf": int(time.time()) + 600}, "not valid yet"), ({"iat": int(time.time()) + 600}, "not valid yet"),
        ({"sub": None}, "no sub"), ({"sub": 7}, "no userid"), ({"sub": "a b@x"}, "no userid"), ({"sub": ""}, "no "),
        ({"sub": "\ud800@x"}, "can't be read"),
    ],
)  # fmt: skip
def test_bad_claims(desk: Desk, more: dict[str, Any], why: str) -> None:
    if more.get("sub") == "\ud800@x":
        head, body = ({"alg": "RS256", "kid": "rsa"}, {**claims(), **more})
        data = b".".join(segment(json.dumps(part).encode()) for part in (head, body))
        signature = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).sign(data, RSA)
        text = (data + b"." + segment(signature)).decode()
        assert "token" in desk.refused(text)
        return
    assert why in desk.refused(token(**more))


def test_the_issuer(tmp_path: Path) -> None:
    desk = Desk(tmp_path, issuer="https://us")
    assert desk.ask(token(iss="https://us")) == ALICE
    assert "another issuer" in desk.refused(token(iss="https://them"))
    assert "no iss" in desk.refused(token())


def test_how_long_it_may_be_good(tmp_path: Path) -> None:
    desk = Desk(tmp_path, lifetime_max=120)
    now = int(time.time())
    assert desk.ask(token(iat=now, exp=now + 100)) == ALICE
    assert "more than 120 s" in desk.refused(token(iat=now, exp=now + 1000))
    assert "no iat" in desk.refused(token())


def segment(data: bytes) -> bytes:
    """Base64 as a token has it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def forged(head: dict[str, Any], key: bytes | None = None) -> str:
    """With a head of the attacker's; signed by HMAC, where there is a key."""
    data = segment(orjson.dumps(head)) + b"." + segment(orjson.dumps(claims()))
    signature = b"" if key is None else hmac.new(key, data, hashlib.sha256).digest()
    return (data + b"." + segment(signature)).decode()


PEM = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
DER = RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.proves("C-65")
@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None, ["none"], {}])
@pytest.mark.parametrize("kid", ["rsa", "oct", None])
def test_no_signature(desk: Desk, alg: Any, kid: str | None) -> None:
    assert "token" in desk.refused(forged({"alg": alg, "typ": "JWT", **({"kid": kid} if kid else {})}))


@pytest.mark.proves("C-65")
@pytest.mark.parametrize("key", [PEM, PEM.strip(), DER, KEYS["keys"][0]["n"].encode(), b""])
@pytest.mark.parametrize("kid", ["rsa", None])
def test_a_public_key_is_no_secret(desk: Desk, tmp_path: Path, key: bytes, kid: str | None) -> None:
    """Key confusion."""
    text = forged({"alg": "HS256", **({"kid": kid} if kid else {})}, key)
    assert desk.refused(text) in ("the token's key is not known here", "the token's signature does not fit")
    assert desk.refused(text)
    pem = Desk(tmp_path, keys_as_pem := PEM)
    assert keys_as_pem == PEM
    assert pem.refused(text) == "the token's key is not known here"
    assert pem.ask(token(kid=None)) == ALICE


@pytest.mark.proves("C-65")
def test_the_attackers_own_key(desk: Desk) -> None:
    """Signed well, by the wrong one; named in the head; under another's id; or where none is named."""
    own = jwk(OTHER_RSA.public_key(), jwt.algorithms.RSAAlgorithm)
    assert "does not fit" in desk.refused(token(OTHER_RSA))
    assert "does not fit" in desk.refused(token(OTHER_RSA, head={"jwk": own}))
    assert "does not fit" in desk.refused(token(OTHER_RSA, head={"jku": "http://127.0.0.1:1/keys"}))
    assert "not known" in desk.refused(token(OTHER_RSA, kid="enc"))  # it is ours, but for something else
    assert "not known" in desk.refused(token(OTHER_RSA, kid="mine", head={"jwk": own}))
    assert "not known" in desk.refused(token(RSA, kid="ed"))
    assert "not known" in desk.refused(token(RSA, kid="oct"))
    assert "does not fit" in desk.refused(token(OTHER_RSA, kid=None))


@pytest.mark.parametrize(
    "text", ["", "a", "a.b", "a.b.c", "..", "a.b.c.d", "ä.b.c", "e30.e30.e30", "x" * 9000 + ".y.z"]
)
def test_no_tokens(desk: Desk, text: str) -> None:
    assert desk.refused(text) in ("that is no token", "the token can't be read", "the token's key is not known here")


def test_extensions_are_refused(desk: Desk) -> None:
    assert "can't be read" in desk.refused(token(head={"crit": ["exp"], "exp": 1}))


DESKS: list[Desk] = []


@given(st.one_of(st.text(), st.lists(st.binary(max_size=40), min_size=3, max_size=3).map(
    lambda parts: b".".join(map(segment, parts)).decode())))  # fmt: skip
def test_whatever_is_shown(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    if not DESKS:
        DESKS.append(Desk(tmp_path_factory.mktemp("desk")))
    with pytest.raises(Refused):
        DESKS[0].ask(text)


def test_keys_that_rotate(desk: Desk) -> None:
    """The old ones go, the new ones count; a file that is broken changes nothing, and is logged."""
    old, new = token(), token(OTHER_RSA, kid="new")
    assert "not known" in desk.refused(new)
    desk.write({"keys": [jwk(OTHER_RSA.public_key(), jwt.algorithms.RSAAlgorithm, kid="new")]})
    assert desk.ask(new) == ALICE
    assert "not known" in desk.refused(old)
    with capturedLogs() as logged:
        for broken in (b"{", b'{"keys": []}', b"", orjson.dumps({"keys": [{"kty": "RSA"}]})):
            desk.write(broken)
            assert desk.ask(new) == ALICE
            assert desk.ask(new) == ALICE
    assert len([event for event in logged if event["log_level"].name == "error"]) == 4
    desk.path.unlink()
    assert desk.ask(new) == ALICE
    desk.write(KEYS)
    assert desk.ask(old) == ALICE


def other_spellings(text: str) -> list[str]:
    """The same token, in other characters: the last one of a signature has bits that nobody reads."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    whole = base64.urlsafe_b64decode(text.rpartition(".")[2] + "==")
    others = [text[:-1] + last for last in alphabet if last != text[-1]]
    same = [other for other in others if base64.urlsafe_b64decode(other.rpartition(".")[2] + "==") == whole]
    assert same
    return same


@pytest.mark.proves("C-65")
def test_a_token_that_is_replayed(tmp_path: Path) -> None:
    """Good for one connection; what has expired is forgotten; somebody else's try does not use it up."""
    desk = Desk(tmp_path, once=True, once_max=2)
    first = token()
    assert desk.ask(first, "bob@gortc.local") == ALICE
    assert desk.ask(first) == ALICE
    assert desk.refused(first) == "the token has been used"
    for text in other_spellings(first):
        assert desk.refused(text)
    assert desk.ask(token(jti="2")) == ALICE
    with pytest.raises(Refused) as caught:
        desk.ask(token(jti="3"))
    assert caught.value.code == 503
    desk.clock.advance(100)
    assert desk.ask(token(jti="3")) == ALICE
    desk.clock.advance(100)
    assert desk.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"keys": None}, "give `keys`"), ({"secret": "x"}, "give `keys`"), ({"colour": 1}, "no such key: colour"),
        ({"audience": ""}, "audience"), ({"audience": (1,)}, "audience"), ({"issuer": 1}, "issuer"),
        ({"claim": 1}, "claim"), ({"leeway": -1}, "leeway"), ({"once": 1}, "once"), ({"once_max": 0}, "once_max"),
    ],
)  # fmt: skip
def test_bad_configuration(tmp_path: Path, config: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Desk(tmp_path, **config)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        (b"", "no key set"), (b"-----BEGIN PUBLIC KEY-----\nx", "no public key"), ({"keys": []}, "has no keys"),
        ({"keys": [jwk(b"short", jwt.algorithms.HMACAlgorithm)]}, "32 bytes"),
        ({"keys": [jwk(RSA.public_key(), jwt.algorithms.RSAAlgorithm, alg="HS256")]}, "no key set"),
        ({"keys": [jwk(RSA, jwt.algorithms.RSAAlgorithm)]}, "private"),
        ({"keys": [jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), jwt.algorithms.ECAlgorithm)]}, "P-256"),
        ({"keys": [jwk(rsa.generate_private_key(65537, 1024).public_key(), jwt.algorithms.RSAAlgorithm)]}, "2048"),
    ],
)  # fmt: skip
def test_bad_keys(tmp_path: Path, keys: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Desk(tmp_path, keys)


def test_a_shared_secret(tmp_path: Path) -> None:
    desk = Desk(tmp_path, SECRET + b"\n", keys=None, secret=str(tmp_path / "keys"))
    assert desk.ask(token(SECRET, "HS256", None)) == ALICE
    assert "does not fit" in desk.refused(token(SECRET[::-1], "HS256", None))
    with pytest.raises(ValueError, match="32 bytes"):
        Desk(tmp_path, b"short", keys=None, secret=str(tmp_path / "keys"))
    with pytest.raises(OSError, match="No such file"):
        Desk(tmp_path, keys=None, secret=str(tmp_path / "nothing"))
