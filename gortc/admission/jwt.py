"""jwt: a token that somebody else has signed says who a peer is (RFC 7519, RFC 8725).

A key is used for algorithms of its own kind only, so what a token says of its algorithm can't turn a public key into a
secret, nor be `none`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import orjson

from gortc.admission.interfaces import Ask, AuthContext, Handshake, Refused
from gortc.fresh import Fresh
from gortc.jsip.timers import Timers
from gortc.transport.names import BadName, channel_name

TOKEN_MAX = 8192
"""No token is longer, in characters."""
SECRET_MIN = 32
"""RFC 7518 section 3.2: a key as long as the hash, in bytes."""
RSA_MIN = 2048
"""RFC 7518 section 3.3, in bits."""
TIMES = ("exp", "nbf", "iat")
TIME_MAX = 2**53
"""No time is later, in seconds since 1970: what every JSON reader can hold (RFC 7519 section 2, NumericDate)."""
TRIES_MAX = 8
"""So many keys are tried for a token that names none."""

KNOWN = {"keys", "secret", "audience", "issuer", "claim", "leeway", "lifetime_max", "once", "once_max"}


class Key:
    """One key: its id, where it has one, the `algorithms` that it is for, and what PyJWT calls it."""

    def __init__(self, kid: str | None, algorithms: Sequence[str], material: Any) -> None:
        self.kid = kid
        self.algorithms = algorithms
        self.material = material


def load_jwt(context: AuthContext) -> Ask:
    """Configuration: docs/security.md, "jwt". Raises ValueError, and OSError where a file can't be read."""
    try:
        import jwt  # noqa: F401
    except ImportError:
        raise ValueError("it needs pip install 'gortc[auth]'") from None
    return Tokens(context).ask


class Tokens:
    """Reads tokens."""

    def __init__(self, context: AuthContext) -> None:
        config = context.config
        unknown = set(config) - KNOWN
        if unknown:
            raise ValueError(f"no such key: {', '.join(sorted(unknown))}")
        if ("keys" in config) == ("secret" in config):
            raise ValueError("give `keys`, a file of public keys, or `secret`, a file with a shared one")
        self._audience: Any = config.get("audience", context.realm)
        self._issuer: str | None = config.get("issuer")
        self._claim: str = config.get("claim", "sub")
        self._leeway = _seconds(config, "leeway", 10)
        self._lifetime_max = _seconds(config, "lifetime_max", 0)
        if not self._audience or not all(isinstance(one, str) for one in _several(self._audience)):
            raise ValueError("audience must be a text, or a tuple of them")
        for name in ("issuer", "claim"):
            if not isinstance(config.get(name, "x"), str):
                raise ValueError(f"{name} must be a text")
        path = str(config.get("keys", config.get("secret")))
        read = read_keys if "keys" in config else read_secret
        self._keys: Fresh[list[Key]] = Fresh(lambda: (path,), lambda: read(path))
        once_max = config.get("once_max", 100_000)
        if not isinstance(once_max, int) or once_max < 1:
            raise ValueError("once_max must be a number of tokens")
        if not isinstance(config.get("once", False), bool):
            raise ValueError("once must be True or False")
        self._used = Used(context, once_max) if config.get("once") else None

    def ask(self, handshake: Handshake) -> str | None:
        """As `Ask` has it."""
        token = handshake.token
        if token is None:
            return None
        claims = self._claims(token)
        name = claims.get(self._claim)
        try:
            userid = channel_name(quote(name)) if isinstance(name, str) else ""
        except (BadName, UnicodeEncodeError):
            userid = ""
        if not userid:
            raise Refused(401, f"the token's {self._claim} is no userid")
        if self._used is not None and userid == handshake.userid:
            self._used.use(token, float(claims["exp"]) + self._leeway)
        return userid

    def _claims(self, token: str) -> dict[str, Any]:
        """What a good token claims. Raises Refused."""
        import jwt

        if len(token) > TOKEN_MAX or token.count(".") != 2 or not token.isascii():
            raise Refused(401, "that is no token")
        try:
            head = jwt.get_unverified_header(token)
        except Exception:  # whatever a stranger may have written; `crit`, too (RFC 7515 section 4.1.11)
            raise Refused(401, "the token can't be read") from None
        why = "the token's key is not known here"
        for key in self._fitting(head):
            try:
                return self._verified(token, key)
            except jwt.ExpiredSignatureError:
                why = "the token has expired"
            except jwt.ImmatureSignatureError:
                why = "the token is not valid yet"
            except jwt.InvalidAudienceError:
                why = "the token is for somebody else's audience"
            except jwt.InvalidIssuerError:
                why = "the token is of another issuer"
            except jwt.MissingRequiredClaimError as missing:
                why = f"the token has no {missing.claim}"
            except jwt.InvalidSignatureError:
                why = "the token's signature does not fit"
                continue
            except Refused:
                raise
            except Exception:
                why = "the token can't be read"
            raise Refused(401, why)
        raise Refused(401, why)

    def _fitting(self, head: Mapping[str, Any]) -> list[Key]:
        """The keys that may have signed it: those of its algorithm, and of its `kid` where it names one."""
        keys = [key for key in self._keys.value() if head.get("alg") in key.algorithms]
        if "kid" in head:
            return [key for key in keys if key.kid == head["kid"]]
        return keys[:TRIES_MAX]

    def _verified(self, token: str, key: Key) -> dict[str, Any]:
        import jwt

        required = ["exp", "aud", self._claim]  # RFC 8725 section 3.9: who it is for
        if self._issuer:
            required.append("iss")
        if self._lifetime_max:
            required.append("iat")
        claims: dict[str, Any] = jwt.decode(
            token,
            key.material,
            algorithms=list(key.algorithms),
            audience=self._audience,
            issuer=self._issuer,
            leeway=self._leeway,
            options={"require": required, "verify_sub": False},
        )
        for name in TIMES:
            at = claims.get(name, 0)
            if type(at) not in (int, float) or not abs(at) <= TIME_MAX:
                raise Refused(401, f"the token's {name} is no time")
        if self._lifetime_max and float(claims["exp"]) - float(claims["iat"]) > self._lifetime_max:
            raise Refused(401, f"the token is good for more than {self._lifetime_max:g} s")
        return claims


class Used:
    """Tokens that were used, until they expire: each is good for one connection."""

    def __init__(self, context: AuthContext, most: int) -> None:
        self._timers = Timers(context.reactor, lambda: context.log.failure("a used token can't be forgotten"))
        self._most = most
        self._rows: set[bytes] = set()

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._rows)

    def use(self, token: str, expires: float) -> None:
        """Use it, once. `expires` is in seconds since 1970. Raises Refused."""
        import time

        # Without the signature, of which base64 leaves some bits to choose, and some algorithms all.
        row = sha256(token.rpartition(".")[0].encode()).digest()
        if row in self._rows:
            raise Refused(401, "the token has been used")
        if len(self._rows) >= self._most:
            raise Refused(503, "too many tokens are in use")
        self._rows.add(row)
        self._timers.start(float(max(1, int(expires - time.time()) + 1)), self.forget, row)

    def forget(self, row: bytes) -> None:
        """It has expired."""
        self._rows.discard(row)


def read_secret(path: str) -> list[Key]:
    """The secret of a file. Raises ValueError and OSError."""
    with open(path, "rb") as file:
        secret = file.read().rstrip(b"\r\n")
    if len(secret) < SECRET_MIN:
        raise ValueError(f"{path}: a secret has {SECRET_MIN} bytes at least")
    return [Key(None, ("HS256",), secret)]


def read_keys(path: str) -> list[Key]:
    """The keys of a file: a JWKS (RFC 7517), or a public key as PEM. Raises ValueError and OSError."""
    from jwt import PyJWK

    with open(path, "rb") as file:
        data = file.read()
    if data.lstrip().startswith(b"-----BEGIN"):
        return [_public(path, data)]
    try:
        rows = orjson.loads(data)["keys"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path}: no key set that can be read") from None
    try:
        keys = [
            _fitted(path, row.get("kid"), row.get("alg"), PyJWK(row, row.get("alg")).key)
            for row in rows
            if row.get("use", "sig") == "sig"
        ]
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"{path}: no key set that can be read: {type(error).__name__}") from None
    if not keys:
        raise ValueError(f"{path} has no keys")
    return keys


def _public(path: str, data: bytes) -> Key:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        return _fitted(path, None, None, load_pem_public_key(data))
    except ValueError:
        raise ValueError(f"{path}: no public key that can be read") from None


def _fitted(path: str, kid: Any, alg: Any, material: Any) -> Key:
    """The key with what it may be used for. Raises ValueError."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(material, bytes):
        if len(material) < SECRET_MIN:
            raise ValueError(f"{path}: a secret has {SECRET_MIN} bytes at least")
        algorithms: tuple[str, ...] = ("HS256",)
    elif isinstance(material, rsa.RSAPublicKey):
        if material.key_size < RSA_MIN:
            raise ValueError(f"{path}: an RSA key has {RSA_MIN} bits at least")
        algorithms = ("RS256", "PS256")
    elif isinstance(material, ed25519.Ed25519PublicKey):
        algorithms = ("EdDSA",)
    elif isinstance(material, ec.EllipticCurvePublicKey) and material.curve.name == "secp256r1":
        algorithms = ("ES256",)
    else:
        raise ValueError(f"{path}: keys are RSA, Ed25519, P-256, or secrets; public ones without their private part")
    if alg is not None:
        if alg not in algorithms:
            raise ValueError(f"{path}: {alg} is not for a key of this kind")
        algorithms = (alg,)
    return Key(kid if isinstance(kid, str) else None, algorithms, material)


def _several(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (tuple, list)) else (value,)


def _seconds(config: Mapping[str, Any], name: str, default: float) -> float:
    value = config.get(name, default)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{name} must be a number of seconds")
    return float(value)
