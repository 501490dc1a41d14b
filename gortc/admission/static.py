"""Authenticator `static`: users and the hashes of their passwords, in the configuration or in a file. docs/security.md.

`python -m gortc.admission.static USERID` asks for a password and writes a line for the file.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from getpass import getpass
from typing import Any, Final
from urllib.parse import quote

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.threads import deferToThreadPool

from gortc.admission.interfaces import Ask, AuthContext, Handshake, Refused
from gortc.admission.turns import Turns
from gortc.fresh import Fresh
from gortc.jsip.uri import same_name
from gortc.transport.names import BadName, channel_name

PASSWORD_MAX: Final = 1024
"""No password is longer, in characters."""

Check = Callable[[bytes], bool]
"""Whether a password is the one of a hash. Takes tens of milliseconds."""

Run = Callable[[Callable[[], bool]], "Deferred[bool]"]
"""Runs a function in a thread."""

_BASE64: Final = "[A-Za-z0-9+/]+"
_SCRYPT: Final = re.compile(rf"\$scrypt\$ln=(\d{{1,2}}),r=(\d{{1,2}}),p=(\d)\$({_BASE64})\$({_BASE64})")
_ARGON2ID: Final = re.compile(rf"\$argon2id\$v=19\$m=(\d{{1,6}}),t=(\d{{1,2}}),p=(\d{{1,2}})\$({_BASE64})\$({_BASE64})")


# hashes


def hash_password(password: str) -> str:
    """A hash of `password`, each time another one: `$scrypt$ln=15,r=8,p=1$SALT$HASH`."""
    salt = os.urandom(16)
    digest = _scrypt(15, 8, 1, salt, 32, _octets(password))
    return f"$scrypt$ln=15,r=8,p=1${_base64(salt)}${_base64(digest)}"


def read_hash(text: str) -> Check:
    """What checks passwords against a hash, `$argon2id$...` or `$scrypt$...`.

    Raises ValueError, which does not quote it, where it can't be read, or would take too much time or memory.
    """
    found = _SCRYPT.fullmatch(text)
    if found is not None:
        ln, r, p = map(int, found.groups()[:3])
        # A slip of the pen may not stop the server: at the most 256 MB, and about three seconds.
        if not (14 <= ln <= 17 and 1 <= r <= 16 and 1 <= p <= 4):
            raise ValueError("of scrypt, ln must be 14 to 17, r 1 to 16, p 1 to 4")
        salt, digest = _salt_and_digest(found[4], found[5])
        return partial(_is_scrypt, ln, r, p, salt, digest)
    found = _ARGON2ID.fullmatch(text)
    if found is not None:
        m, t, p = map(int, found.groups()[:3])
        # RFC 9106 section 3.1: "Memory size m MUST be an integer number of kibibytes from 8*p to 2^(32)-1."
        if not (1 <= p <= 16 and 8 * p <= m <= 262_144 and 1 <= t <= 10):
            raise ValueError("of argon2id, m must be 8p to 262144, t 1 to 10, p 1 to 16")
        _salt_and_digest(found[4], found[5])
        return _argon2(text)
    raise ValueError("the hash must be $argon2id$v=19$m=,t=,p=$SALT$HASH or $scrypt$ln=,r=,p=$SALT$HASH")


def _scrypt(ln: int, r: int, p: int, salt: bytes, size: int, password: bytes) -> bytes:
    # RFC 7914 section 2: scrypt takes 128 * N * r octets, and 128 * r * p; OpenSSL some more.
    memory = 128 * r * ((1 << ln) + p + 2)
    return hashlib.scrypt(password, salt=salt, n=1 << ln, r=r, p=p, maxmem=memory, dklen=size)


def _is_scrypt(ln: int, r: int, p: int, salt: bytes, digest: bytes, password: bytes) -> bool:
    return hmac.compare_digest(_scrypt(ln, r, p, salt, len(digest), password), digest)


def _argon2(text: str) -> Check:
    try:
        from argon2.exceptions import VerifyMismatchError
        from argon2.low_level import Type, verify_secret
    except ImportError:
        raise ValueError("argon2id needs pip install 'gortc[auth]'") from None

    def is_argon2(password: bytes) -> bool:
        try:
            return verify_secret(text.encode(), password, Type.ID)
        except VerifyMismatchError:
            return False

    return is_argon2


def _salt_and_digest(salt: str, digest: str) -> tuple[bytes, bytes]:
    try:
        parts = tuple(b64decode(text + "=" * (-len(text) % 4), validate=True) for text in (salt, digest))
    except ValueError:
        raise ValueError("salt and hash must be base64, without padding") from None
    if not (8 <= len(parts[0]) <= 64 and 16 <= len(parts[1]) <= 64):
        raise ValueError("the salt must have 8 to 64 bytes, the hash 16 to 64")
    return parts[0], parts[1]


def _base64(octets: bytes) -> str:
    return b64encode(octets).decode().rstrip("=")


def _octets(password: str) -> bytes:
    """Any text has some: it must not matter what peers send."""
    return password.encode("utf-8", "surrogatepass")


# users


Users = Mapping[str, Check]


def read_users(lines: Sequence[str]) -> Users:
    """The users of a file's lines, `userid:hash`, empty, or `# ...`. Raises ValueError, which quotes no hash."""
    users: dict[str, Check] = {}
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        userid, found, rest = line.partition(":$")  # a userid may have a colon
        if not found:  # it may be a password: it is not quoted
            raise ValueError(f"line {number} is not userid:hash")
        _add(users, userid, f"${rest}")
    return users


def _add(users: dict[str, Check], userid: str, text: Any) -> None:
    try:
        name = channel_name(quote(userid, safe=""))
        if name in users:
            raise ValueError("is there twice")
        if not isinstance(text, str):
            raise ValueError("the hash must be text")
        users[name] = read_hash(text)
    except ValueError as error:
        raise ValueError(f"user {userid}: {error}") from None


def _read_file(path: str) -> Users:
    try:
        with open(path, encoding="utf-8") as file:
            return read_users(file.readlines())
    except OSError as error:
        raise ValueError(f"file: {path} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"file: {path} is not UTF-8") from None


# the authenticator


class Static:
    """Asks whether a peer's password is the one of the user that it says it is."""

    def __init__(self, users: Callable[[], Users], run: Run, threads: int = 2, pending_max: int = 200) -> None:
        """`users` returns those that there are now; `run` is given the slow checks, at most `threads` at a time, while
        at most `pending_max` others wait, address by address."""
        self._users = users
        self._run = run
        self._turns = Turns(threads, threads, pending_max)
        self._stand_in = read_hash(hash_password(""))

    def ask(self, handshake: Handshake) -> Deferred[str | None] | None:
        """Fires with the peer's userid where its password is right; None where it has shown no password nor token.

        Raises, or fails with, Refused: 401 where it is wrong, 503 where too many wait. When it is cancelled, who waits
        makes room; a check that has begun ends by itself.
        """
        userid = handshake.userid
        if handshake.password is not None:
            user, password = handshake.password
            if not same_name(user, userid):
                raise _wrong("its userid is another one")
        elif handshake.token is not None:
            password = handshake.token
        else:
            return None
        if len(password) > PASSWORD_MAX:
            raise _wrong("the password is too long")
        home = handshake.home
        job = self._job(userid, _octets(password))
        checked = self._turns.take(home).addCallback(lambda _: self._begin(home, job))
        return checked.addCallback(partial(_name, userid))

    def _job(self, userid: str, password: bytes) -> Callable[[], bool]:
        """How long the answer takes must not tell which users there are: a user that is not there costs what one does
        that is, always the same one."""
        users = self._users()
        check = users.get(userid)
        if check is not None:
            return partial(check, password)
        stand_ins = tuple(users.values()) or (self._stand_in,)
        return partial(_in_vain, stand_ins[hash(userid) % len(stand_ins)], password)

    def _begin(self, home: str, job: Callable[[], bool]) -> Deferred[bool]:
        # A thread can't be cancelled: its turn ends when it does, not when the peer goes.
        answer: Deferred[bool] = Deferred()
        maybeDeferred(self._run, job).addBoth(self._next, home).chainDeferred(answer)
        return answer

    def _next(self, result: Any, home: str) -> Any:
        self._turns.end(home, result if isinstance(result, bool) else None)
        return result


def _in_vain(check: Check, password: bytes) -> bool:
    check(password)
    return False


def _name(userid: str, right: bool) -> str | None:
    if not right:
        raise _wrong()
    return userid


def _wrong(log: str = "") -> Refused:
    return Refused(401, "wrong user or password", log)


def load_static(context: AuthContext) -> Ask:
    """An authenticator that knows the users of the configuration.

    Its keys: `users`, userid -> hash, or `file`, a text file of lines `userid:hash`, which is read again when it has
    changed; `threads`, so many passwords are checked at a time, by default 2; `pending_max`, so many peers may wait for
    that, by default 200. Raises ValueError, one line, where it can't be followed.
    """
    config = context.config
    unknown = config.keys() - {"users", "file", "threads", "pending_max"}
    if unknown:
        raise ValueError(f"there is no setting {', '.join(sorted(map(repr, unknown)))}")
    threads, pending_max = _count(config, "threads", 2), _count(config, "pending_max", 200)
    reactor = context.reactor

    def run(job: Callable[[], bool]) -> Deferred[bool]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), job)

    return Static(_users(config), run, threads, pending_max).ask


def _users(config: Mapping[str, Any]) -> Callable[[], Users]:
    if ("users" in config) == ("file" in config):
        raise ValueError("there must be users, or a file, and not both")
    if "file" in config:
        path = config["file"]
        if not isinstance(path, str) or not path:
            raise ValueError(f"file must be the name of a file, not {path!r}")
        return Fresh(lambda: (path,), partial(_read_file, path)).value
    given = config["users"]
    if not isinstance(given, Mapping) or not all(isinstance(userid, str) for userid in given):
        raise ValueError("users must be a dict: userid -> hash")
    users: dict[str, Check] = {}
    for userid, text in given.items():
        _add(users, userid, text)
    return lambda: users


def _count(config: Mapping[str, Any], key: str, default: int) -> int:
    value = config.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{key} must be an integer from 1, not {value!r}")
    return value


# the command


def main(arguments: Sequence[str]) -> None:
    """Ask for a password and write its hash, after `USERID:` where that is the argument. Raises SystemExit."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        raise SystemExit("usage: python -m gortc.admission.static [USERID]")
    try:
        prefix = "".join(channel_name(quote(userid, safe="")) + ":" for userid in arguments)
    except BadName as error:
        raise SystemExit(str(error)) from None
    password = getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if not 0 < len(password) <= PASSWORD_MAX:
        raise SystemExit(f"a password has 1 to {PASSWORD_MAX} characters")
    sys.stdout.write(f"{prefix}{hash_password(password)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
