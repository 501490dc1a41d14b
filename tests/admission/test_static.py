"""Users and the hashes of their passwords."""

from __future__ import annotations

import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from argon2.low_level import Type, hash_secret
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import Logger

from gortc.admission import static
from gortc.admission.interfaces import AuthContext, Handshake, Refused
from gortc.admission.static import PASSWORD_MAX, Check, Static, hash_password, load_static, read_hash, read_users

ALICE, BOB = "alice@gortc.com", "bob@gortc.com"
PEER = Handshake(ALICE, "192.0.2.1", "/rtc?userid=alice@gortc.com", {})

# RFC 7914 section 12: the test vector with N=16384.
VECTOR = "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$" + b64encode(
    bytes.fromhex(
        "70 23 bd cb 3a fd 73 48 46 1c 06 cd 81 fd 38 eb fd a8 fb ba 90 4f 8e 3e a9 b5 43 f6 54 5d a1 f2"
        "d5 43 29 55 61 3f 0f cf 62 d4 97 05 24 2a 9a f9 e6 1e 85 dc 0d 65 1e 40 df cf 01 7b 45 57 58 87"
    )
).decode().rstrip("=")
ARGON2 = hash_secret(b"guess", b"saltsalt", 1, 8, 1, 16, Type.ID).decode()


class Threads:
    """Jobs whose threads end when the test says so."""

    def __init__(self) -> None:
        self.running: list[tuple[Callable[[], bool], Deferred[bool]]] = []

    def run(self, job: Callable[[], bool]) -> Deferred[bool]:
        ended: Deferred[bool] = Deferred()
        self.running.append((job, ended))
        return ended

    def end(self) -> None:
        """The oldest one does its job."""
        job, ended = self.running.pop(0)
        try:
            ended.callback(job())
        except ArithmeticError:
            ended.errback()


class Hashes:
    """Users whose password is their userid, and what has been checked."""

    def __init__(self, *userids: str) -> None:
        self.checked: list[tuple[str, bytes]] = []
        self.users = {userid: self._check(userid) for userid in userids}

    def _check(self, userid: str) -> Check:
        def check(password: bytes) -> bool:
            self.checked.append((userid, password))
            return password == userid.encode()

        return check


def context(config: Mapping[str, Any], clock: Any = None) -> AuthContext:
    return AuthContext("static", config, "gortc.com", clock or Clock(), Logger(namespace="auth.static"))


def with_token(token: str, userid: str = ALICE) -> Handshake:
    return evolve(PEER, userid=userid, token=token)


def ask(peers: Static, handshake: Handshake) -> list[Any]:
    """What comes of it, as soon as there is something."""
    told: list[Any] = []
    asked = peers.ask(handshake)
    assert asked is not None
    asked.addCallbacks(told.append, lambda failure: told.append(failure.value))
    return told


def check_refused(error: object, code: int) -> None:
    assert isinstance(error, Refused)
    assert error.code == code


# hashes


@pytest.mark.parametrize(("text", "password"), [(VECTOR, "pleaseletmein"), (ARGON2, "guess")])
def test_a_hash(text: str, password: str) -> None:
    check = read_hash(text)
    assert check(password.encode())
    assert not check(password.encode() + b"x")
    assert not check(b"")


def test_a_password_has_many_hashes() -> None:
    one, other = hash_password("pässwörd"), hash_password("pässwörd")
    assert one != other
    assert read_hash(one)("pässwörd".encode())
    assert not read_hash(one)(b"y")
    assert re.fullmatch(r"\$scrypt\$ln=15,r=8,p=1\$[\w+/]{22}\$[\w+/]{43}", one)


def test_the_largest_hash_is_within_its_memory() -> None:
    text = "$scrypt$ln=17,r=16,p=1$" + VECTOR.split("$", 3)[3]
    assert not read_hash(text)(b"pleaseletmein")


BAD_HASHES = {
    "secret": "must be",
    "": "must be",
    "$2b$12$abcdefghijklmnopqrstuv": "must be",
    VECTOR + "=": "must be",
    VECTOR.replace("ln=14", "ln=13"): "ln must be 14 to 17",
    VECTOR.replace("ln=14", "ln=18"): "ln must be 14 to 17",
    VECTOR.replace("r=8", "r=17"): "r 1 to 16",
    VECTOR.replace("r=8", "r=0"): "r 1 to 16",
    VECTOR.replace("p=1", "p=5"): "p 1 to 4",
    VECTOR.replace("pZGU$", "pZ$"): "base64",
    VECTOR.replace("$U29kaXVtQ2hsb3JpZGU", "$U29k"): "salt must have",
    "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9": "hash 16 to 64",
    ARGON2.replace("m=8,", "m=7,"): "m must be",
    ARGON2.replace("m=8,", "m=262145,"): "m must be",
    ARGON2.replace("t=1,", "t=11,"): "t 1 to 10",
    ARGON2.replace("p=1$", "p=17$"): "p 1 to 16",
    ARGON2.replace("argon2id", "argon2i"): "must be",
    ARGON2.replace("v=19", "v=16"): "must be",
    ARGON2[:-1] + "$x": "must be",
}


@pytest.mark.parametrize(("text", "why"), BAD_HASHES.items())
def test_a_hash_that_cannot_be(text: str, why: str) -> None:
    """The line names the user, and quotes nothing of what may be a secret."""
    with pytest.raises(ValueError, match=why) as raised:
        load_static(context({"users": {ALICE: text}}))
    line = str(raised.value)
    assert line.startswith(f"user {ALICE}: ")
    assert not any(part in line for part in text.split("$")[3:] if len(part) > 5)
    assert "secret" not in line
    assert "\n" not in line


def test_argon2_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "argon2.exceptions", None)
    with pytest.raises(ValueError, match=r"pip install 'gortc\[auth\]'"):
        read_hash(ARGON2)
    assert read_hash(VECTOR)(b"pleaseletmein")


# peers


@pytest.mark.parametrize(
    ("peer", "right"),
    [
        (evolve(PEER, token=ALICE), True),
        (evolve(PEER, password=(ALICE, ALICE)), True),
        (evolve(PEER, password=(ALICE, ALICE), token="wrong"), True),
        (evolve(PEER, token="wrong"), False),
        (evolve(PEER, password=(ALICE, "wrong")), False),
        (evolve(PEER, token=""), False),
        (evolve(PEER, token="\udcff"), False),
        (evolve(PEER, token="x" * PASSWORD_MAX), False),
        (evolve(PEER, token=BOB), False),
    ],
)
def test_a_password(peer: Handshake, right: bool) -> None:
    threads, hashes = Threads(), Hashes(ALICE, BOB)
    told = ask(Static(lambda: hashes.users, threads.run), peer)
    assert not told
    threads.end()
    assert [userid for userid, _ in hashes.checked] == [ALICE]
    if right:
        assert told == [ALICE]
    else:
        check_refused(told[0], 401)


def test_no_password() -> None:
    """It is for somebody else to say who it is."""
    threads = Threads()
    assert Static(dict, threads.run).ask(PEER) is None
    assert not threads.running


@pytest.mark.parametrize(
    "peer",
    [
        evolve(PEER, password=(BOB, BOB)),
        evolve(PEER, password=("alice", ALICE)),
        evolve(PEER, password=("", ALICE)),
        evolve(PEER, password=(BOB, BOB), token=ALICE),
        evolve(PEER, token="x" * (PASSWORD_MAX + 1)),
        evolve(PEER, password=(ALICE, "x" * (PASSWORD_MAX + 1))),
    ],
)
def test_no_thread_is_needed_to_refuse_it(peer: Handshake) -> None:
    threads, hashes = Threads(), Hashes(ALICE, BOB)
    with pytest.raises(Refused) as raised:
        Static(lambda: hashes.users, threads.run).ask(peer)
    check_refused(raised.value, 401)
    assert not threads.running


@pytest.mark.parametrize("userids", [(ALICE,), (ALICE, BOB, "carol@gortc.com")])
def test_a_user_that_is_not_there(userids: tuple[str, ...]) -> None:
    """It costs a check, each time the same one, and even the right password of that is wrong."""
    threads, hashes = Threads(), Hashes(*userids)
    peers = Static(lambda: hashes.users, threads.run)
    told = []
    for password in ("wrong", *userids):
        told += ask(peers, with_token(password, "eve@gortc.com"))
        told_one = ask(peers, with_token(password, "eve@gortc.com"))
        for _ in range(2):
            threads.end()
        told += told_one
    wrong = ask(peers, with_token("wrong"))
    threads.end()
    assert {str(error) for error in told} == {str(wrong[0])}
    assert wrong[0].reason == "wrong user or password"
    assert {error.log for error in told} == {wrong[0].log}
    checked = hashes.checked[:-1]
    assert len(checked) == 2 * (len(userids) + 1)
    assert len({userid for userid, _ in checked}) == 1


def test_nobody_is_there() -> None:
    threads = Threads()
    told = ask(Static(dict, threads.run), with_token("x"))
    threads.end()
    check_refused(told[0], 401)


# threads


def test_some_are_checked_and_some_wait() -> None:
    threads, hashes = Threads(), Hashes(ALICE)
    peers = Static(lambda: hashes.users, threads.run, threads=2, pending_max=3)
    told = [ask(peers, with_token(ALICE)) for _ in range(5)]
    assert len(threads.running) == 2
    check_refused(ask(peers, with_token(ALICE))[0], 503)
    threads.end()
    assert len(threads.running) == 2
    told.append(ask(peers, with_token(ALICE)))
    while threads.running:
        threads.end()
    assert told == [[ALICE]] * 6


def test_one_address_does_not_wait_for_anothers_many() -> None:
    """Of many who wait for one the last is refused, where somebody else comes."""
    threads, hashes = Threads(), Hashes(ALICE)
    peers = Static(lambda: hashes.users, threads.run, threads=2, pending_max=20)
    flood = [ask(peers, evolve(with_token(f"guess{at}"), home="192.0.2.66")) for at in range(22)]
    honest = ask(peers, evolve(with_token(ALICE), home="192.0.2.1"))
    check_refused(flood[-1][0], 503)
    assert sum(map(len, flood)) == 1
    threads.end()
    threads.end()
    threads.end()
    assert honest == [ALICE]
    assert len(hashes.checked) == 3


def test_one_that_waits_goes() -> None:
    threads, hashes = Threads(), Hashes(ALICE)
    peers = Static(lambda: hashes.users, threads.run, threads=1, pending_max=1)
    first = ask(peers, with_token(ALICE))
    waits = peers.ask(with_token("gone"))
    assert waits is not None
    told: list[Any] = []
    waits.addBoth(lambda failure: told.append(failure.type))
    waits.cancel()
    assert told == [CancelledError]
    last = ask(peers, with_token(ALICE))
    threads.end()
    threads.end()
    assert first == last == [ALICE]
    assert (ALICE, b"gone") not in hashes.checked


@pytest.mark.parametrize("password", [ALICE, "wrong"])
def test_one_that_is_checked_goes(password: str) -> None:
    """Its thread goes on, so the next one has to wait for it."""
    threads, hashes = Threads(), Hashes(ALICE)
    peers = Static(lambda: hashes.users, threads.run, threads=1)
    checked = peers.ask(with_token(password))
    assert checked is not None
    told: list[Any] = []
    checked.addBoth(lambda failure: told.append(failure.type))
    checked.cancel()
    assert told == [CancelledError]
    last = ask(peers, with_token(ALICE))
    assert len(threads.running) == 1
    threads.end()
    threads.end()
    assert last == [ALICE]
    assert told == [CancelledError]


def test_a_check_that_fails_ends_its_turn() -> None:
    """A defect is nobody's password; the server lets nobody in for it."""
    threads, hashes = Threads(), Hashes(BOB)
    users = {ALICE: lambda _: bool(1 // 0), **hashes.users}
    peers = Static(lambda: users, threads.run, threads=1)
    told, other = ask(peers, with_token(ALICE)), ask(peers, with_token(BOB, BOB))
    threads.end()
    assert isinstance(told[0], ZeroDivisionError)
    threads.end()
    assert other == [BOB]


@pytest.mark.parametrize("text", [VECTOR, ARGON2])
@pytest_twisted.ensureDeferred
async def test_in_threads(text: str) -> None:
    password = "pleaseletmein" if text == VECTOR else "guess"
    peers: Any = load_static(context({"users": {"alice@GORTC.com": text}, "threads": 1}, reactor))
    both = [peers(with_token(password)), peers(with_token("wrong"))]
    assert await both[0] == ALICE
    with pytest.raises(Refused, match="401 wrong user or password"):
        await both[1]


# the file


def test_lines() -> None:
    text = f"# users\n\n {ALICE}:{VECTOR} \nsip:bob@GORTC.com:{ARGON2}\n  # {BOB}:x\n"
    assert list(read_users(text.splitlines())) == [ALICE, "bob@gortc.com"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("alice@gortc.com", r"^line 2 is not userid:hash$"),
        ("alice@gortc.com:secret", r"^line 2 is not userid:hash$"),
        ("secret", r"^line 2 is not userid:hash$"),
        (VECTOR, r"^line 2 is not userid:hash$"),
        (f"{BOB}:{VECTOR}", "^user bob@gortc.com: is there twice$"),
        (f"bob@GORTC.com:{VECTOR}", "^user bob@GORTC.com: is there twice$"),
        (f"sip:%62ob@GORTC.com:{VECTOR}", "^user sip:%62ob@GORTC.com: is there twice$"),
        (f"a b@c:{VECTOR}", "^user a b@c: userid must have no space"),
        (f":{VECTOR}", "^user : userid must have"),
        ("alice@gortc.com:$1$secret", "^user alice@gortc.com: the hash must be"),
    ],
)
def test_a_line_that_cannot_be(line: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as raised:
        read_users([f"{BOB}:{ARGON2}", line])
    assert "secret" not in str(raised.value)


def test_the_file_changes(tmp_path: Path) -> None:
    """What can't be read leaves what was there."""
    path = tmp_path / "users"
    path.write_text(f"{ALICE}:{ARGON2}\n")
    threads = Threads()
    peers = Static(static._users({"file": str(path)}), threads.run)

    def told(userid: str) -> Any:
        found = ask(peers, with_token("guess", userid))
        threads.end()
        return found[0]

    assert told(ALICE) == ALICE
    check_refused(told(BOB), 401)
    path.write_text(f"{ALICE}:{ARGON2}\n{BOB}:{ARGON2}\n")
    assert told(BOB) == BOB
    path.write_text("nonsense")
    assert told(BOB) == BOB
    path.write_text(f"{BOB}:{ARGON2}\n\n")
    check_refused(told(ALICE), 401)


# the configuration


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({}, "must be users, or a file"),
        ({"users": {}, "file": "x"}, "not both"),
        ({"users": {}, "user": {}}, "no setting 'user'"),
        ({"users": [ALICE]}, "users must be a dict"),
        ({"users": {1: VECTOR}}, "users must be a dict"),
        ({"users": {ALICE: None}}, f"user {ALICE}: the hash must be text"),
        ({"users": {"a@b;c": VECTOR}}, "user a@b;c: userid must have no space"),
        ({"users": {"a@b": VECTOR, "a@B": VECTOR}}, "user a@B: is there twice"),
        ({"file": ""}, "file must be"),
        ({"file": 3}, "file must be"),
        ({"file": "/nowhere/users"}, "file: /nowhere/users can't be read: No such file"),
        ({"users": {}, "threads": 0}, "threads must be an integer from 1"),
        ({"users": {}, "threads": True}, "threads must be an integer from 1"),
        ({"users": {}, "pending_max": 1.5}, "pending_max must be an integer from 1"),
    ],
)
def test_a_configuration_that_cannot_be(config: Mapping[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why) as raised:
        load_static(context(config))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("octets", "why"), [(b"\xff:$", "is not UTF-8"), (b"\nalice", "line 2 is not userid:hash")])
def test_a_file_that_cannot_be(tmp_path: Path, octets: bytes, why: str) -> None:
    path = tmp_path / "users"
    path.write_bytes(octets)
    with pytest.raises(ValueError, match=why):
        load_static(context({"file": str(path)}))


# the command


@pytest.mark.parametrize(("arguments", "userid"), [([], ""), (["alice@GORTC.com"], ALICE)])
def test_the_command(arguments: list[str], userid: str) -> None:
    command = [sys.executable, "-m", "gortc.admission.static", *arguments]
    done = subprocess.run(command, input="open sesame\n", capture_output=True, text=True, check=True, timeout=60)
    (line,) = done.stdout.splitlines()
    name, colon, text = line.rpartition(":")
    assert (name, colon) == (userid, ":" if userid else "")
    assert read_hash(text)(b"open sesame")
    assert done.stderr == ""


def test_the_command_at_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(static, "getpass", lambda: "open sesame")
    static.main([ALICE])
    (check,) = read_users(capsys.readouterr().out.splitlines()).values()
    assert check(b"open sesame")


@pytest.mark.parametrize(
    ("arguments", "password", "why"),
    [
        (["a", "b"], "x", "usage"),
        (["--help"], "x", "usage"),
        (["a b"], "x", "userid must have"),
        ([], "", "1 to 1024 characters"),
        ([], "x" * 1025, "1 to 1024 characters"),
    ],
)
def test_a_command_that_cannot_be(
    arguments: list[str], password: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(static, "getpass", lambda: password)
    with pytest.raises(SystemExit, match=why):
        static.main(arguments)
