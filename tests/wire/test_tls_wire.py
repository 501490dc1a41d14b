"""By TLS: peers, and next hops, whose certificates are checked; and the server's own, which are renewed as it runs."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import connect

from tests.certificates import Issued, issue
from tests.page import Page
from tests.transport.kit import close, handshake
from tests.wire.kit import PATIENCE, Node, Peer, Process, ended_well, request, twistd
from tests.wire.proxy import free_port

CONFIG = """
from gortc import Route
from gortc.tap import configure, make_application
settings = configure(realm="{realm}", rtc=({rtc}), log_format="json", routes={{{routes}}},
    load_high=9.0, lag_high=1e9, {more})
application = make_application(settings)
"""
CLEAR = '"tcp:0:interface=127.0.0.1",'


def endpoint(port: int, shown: Issued, more: str = "", kind: str = "tls") -> str:
    """An item of `rtc`."""
    return f'"{kind}:{port}:interface=127.0.0.1:certKey={shown.path}:privateKey={shown.key}{more}",'


@contextmanager
def running(folder: Path, realm: str = "gortc.local", rtc: str = CLEAR, routes: str = "", more: str = "") -> Any:
    """A server process with these settings."""
    config = folder / f"{realm}.tac"
    config.write_text(CONFIG.format(realm=realm, rtc=rtc, routes=routes, more=more))
    process = Process(folder, "gortc", "--config", str(config))
    try:
        process.wait_for(lambda events: any("listening on" in event["event"] for event in events) or None)
        yield process
    finally:
        ended_well(process)


def logged(process: Process, text: str, times: int = 1) -> None:
    """Wait until `text` is in the log so many times."""
    process.wait_for(lambda events: sum(text in json.dumps(event) for event in events) >= times or None)


def trusting(ca: Issued, shown: Issued | None = None) -> ssl.SSLContext:
    """A client that trusts `ca`, and shows a certificate."""
    context = ssl.create_default_context(cafile=str(ca.path))
    if shown is not None:
        context.load_cert_chain(shown.path, shown.key)
    return context


def shown_by(port: int, ca: Issued, name: str = "localhost") -> x509.Certificate:
    """The certificate that a client gets to see who asks for `name`."""
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as raw,
        trusting(ca).wrap_socket(raw, server_hostname=name) as secured,
    ):
        seen = secured.getpeercert(binary_form=True)
    assert seen is not None
    return x509.load_der_x509_certificate(seen)


def call_in(port: int, context: ssl.SSLContext, userid: str = "alice@gortc.local") -> Any:
    """A peer by TLS."""
    url = f"wss://localhost:{port}/rtc?userid={userid}"
    return connect(url, ssl=context, proxy=None, open_timeout=PATIENCE, close_timeout=PATIENCE)


# next hops


@pytest.mark.proves("C-49", "C-52")
def test_its_certificate_counts(tmp_path: Path, page: Page) -> None:
    """Whom we trust is called; whom we don't, who is somebody else, or whose time is over, is not."""
    good, other = issue(tmp_path, "localhost"), issue(tmp_path, "elsewhere.test")
    late = issue(tmp_path, "localhost", file="late", days=(-2, -1))
    port, late_port = free_port(), free_port()
    url = f"wss://localhost:{port}/rtc"
    routes = (
        f'"b.test": Route("{url}", ca="{good.path}"), "c.test": Route("{url}", ca="{other.path}"), '
        f'"d.test": Route("{url}"), "e.test": Route("wss://127.0.0.1:{port}/rtc", ca="{good.path}"), '
        f'"f.test": Route("wss://localhost:{late_port}/rtc", ca="{late.path}")'
    )
    with ExitStack() as stack:
        nodes = []
        rtc = CLEAR + endpoint(port, good, kind="ssl") + endpoint(late_port, late)
        for realm, listens, reaches in (("b.test", rtc, ""), ("a.test", CLEAR, routes)):
            process = stack.enter_context(running(tmp_path, realm, listens, reaches))
            nodes.append(Node(process, process.ports()[0], realm))
        alice, bob = Peer(nodes[1], "alice"), Peer(nodes[0], "bob")
        up = alice.open("MESSAGE", bob.name, Body="hi")
        down = bob.answering("MESSAGE", Body="hi")
        down.reply(200)
        up.expect(200)
        for host in ("c.test", "d.test", "e.test", "f.test"):
            up = alice.open("MESSAGE", f"bob@{host}")
            reason = up.expect(503)["Reason"]
            assert "TLS: " in reason, reason
    page.add("a next hop's certificate: another's, one that nobody vouches for, expired", "it is not called: 503")


@pytest.mark.proves("C-49")
def test_nodes_show_certificates_to_each_other(tmp_path: Path) -> None:
    """It is the one of its name, with the chain that leads to it. A node that shows another's is told so; one that
    shows none, too. And what is renewed is shown from then on."""
    ca = issue(tmp_path, "ca.test", ca=True)
    between = issue(tmp_path, "between.test", by=ca, ca=True)
    server = issue(tmp_path, "localhost", by=ca)
    for name, host in (("a", "a.test"), ("false", "b.test"), ("late", "a.test")):
        shown = issue(tmp_path, host, by=between, file=name, days=(-2, -1) if name == "late" else (-1, 1))
        pem = tmp_path / f"{name}-all.pem"
        pem.write_bytes(shown.path.read_bytes() + between.path.read_bytes() + shown.key.read_bytes())
    port = free_port()
    url = f'Route("wss://localhost:{port}/rtc", ca="{ca.path}"'
    routes = (
        f'"b.test": {url}, certificate="{tmp_path / "a-all.pem"}"), '
        f'"c.test": {url}, certificate="{tmp_path / "false-all.pem"}", userid="a.test"), "d.test": {url}), '
        f'"e.test": {url}, certificate="{tmp_path / "late-all.pem"}", userid="a.test")'
    )
    more = 'auth={"mtls": {}}, nodes=("a.test",), trusted_nodes=("a.test",)'
    rtc = endpoint(port, server, f":clientCA={ca.path}")
    with ExitStack() as stack:
        there = stack.enter_context(running(tmp_path, "b.test", rtc, more=more))
        here = stack.enter_context(running(tmp_path, "a.test", CLEAR, routes))
        alice = Peer(Node(here, here.ports()[0], "a.test"), "alice")
        alice.open("MESSAGE", "echo@b.test", Body="hi", Router="b.test;type=echo").expect(200, Body="hi")
        assert "403" in alice.open("MESSAGE", "bob@c.test").expect(503)["Reason"]
        assert "401" in alice.open("MESSAGE", "bob@d.test").expect(503)["Reason"]
        assert "TLS" in alice.open("MESSAGE", "bob@e.test").expect(503)["Reason"]
        logged(there, "TLS failed")
        shutil.copy(tmp_path / "a-all.pem", tmp_path / "late-all.pem")
        said = {"Code": 503}
        while said["Code"] == 503:
            said = alice.open("MESSAGE", "echo@b.test", Body="hi", Router="e.test;type=echo").peer.receive()
        assert said["Code"] == 200
        logged(here, "read again")


# peers


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[Process, int, Issued]]:
    """A node that peers reach by TLS: its process and port, and its certificate."""
    certificate = issue(tmp_path, "localhost")
    port = free_port()
    with running(tmp_path, rtc=endpoint(port, certificate, kind="ssl")) as process:
        logged(process, f"listening on wss://127.0.0.1:{port}/")
        yield process, port, certificate


def test_a_peer_by_tls(secure: tuple[Process, int, Issued]) -> None:
    """It calls as any other does."""
    with call_in(secure[1], trusting(secure[2])) as alice:
        asked = request(
            "MESSAGE", "alice@gortc.local", "echo@gortc.local", Router="gortc.local;type=echo", Body="x" * 50_000
        )
        for _ in range(20):
            alice.send(json.dumps(asked))
            said = json.loads(alice.recv(PATIENCE))
            assert (said["Code"], said["Body"]) == (200, asked["Body"])


@pytest.mark.parametrize("answers", [False, True])
def test_the_server_stops_while_one_does_not_hang_up(tmp_path: Path, answers: bool) -> None:
    """Nor says goodbye, or even that it has heard: the server ends all the same, and nothing fails (`running`)."""
    certificate = issue(tmp_path, "localhost")
    port = free_port()
    with ExitStack() as stack:
        process = stack.enter_context(running(tmp_path, rtc=endpoint(port, certificate)))
        logged(process, f"listening on wss://127.0.0.1:{port}/")
        raw = stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
        secured = stack.enter_context(trusting(certificate).wrap_socket(raw, server_hostname="localhost"))
        secured.sendall(handshake("/rtc?userid=alice@gortc.local"))
        assert secured.recv(1024).startswith(b"HTTP/1.1 101 ")
        process.signal(signal.SIGINT)
        assert secured.recv(1) == b"\x88"
        if answers:
            secured.sendall(close(1001))
        assert process.wait() == -signal.SIGINT


def old(context: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    """It speaks nothing newer."""
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")  # else we ourselves would not offer it


OFFERS: dict[str, Callable[[ssl.SSLContext], Any]] = {
    "TLS 1.0": lambda context: old(context, ssl.TLSVersion.TLSv1),
    "TLS 1.1": lambda context: old(context, ssl.TLSVersion.TLSv1_1),
    "no forward secrecy": lambda context: context.set_ciphers("AES256-GCM-SHA384"),
    "CBC": lambda context: context.set_ciphers("ECDHE-ECDSA-AES256-SHA384"),
}


@pytest.mark.proves("C-74")
@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
def test_what_is_not_spoken(secure: tuple[Process, int, Issued], offer: str, page: Page) -> None:
    """RFC 8996, RFC 9325: old versions, and ciphers of TLS 1.2 that can be read later on."""
    process, port, certificate = secure
    context = trusting(certificate)
    if "TLS" not in offer:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    OFFERS[offer](context)
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as raw,
        pytest.raises(ssl.SSLError, match=r"(?i)alert"),
    ):
        context.wrap_socket(raw, server_hostname="localhost")
    logged(process, "TLS failed")
    with call_in(port, trusting(certificate)):  # whoever does better is let in
        pass
    page.add(f"a client that offers nothing better: {offer}", "TLS ends with an alert")


@pytest.mark.parametrize("said", [b"GET /rtc?userid=alice@gortc.local HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 100])
def test_what_is_no_tls(secure: tuple[Process, int, Issued], said: bytes) -> None:
    """It is hung up on, and the log says why."""
    with socket.create_connection(("127.0.0.1", secure[1]), PATIENCE) as raw:
        raw.settimeout(PATIENCE)
        raw.sendall(said)
        while raw.recv(1024):
            pass
    logged(secure[0], "TLS failed")


# certificates of several names, and new ones


@pytest.mark.proves("C-74")
def test_certificates_by_name(tmp_path: Path) -> None:
    """Each name has its own: a file, an ACME client's folder, or a wildcard's. Other names get the endpoint's."""
    folder = tmp_path / "names"
    (folder / "two.test").mkdir(parents=True)
    first = issue(tmp_path, "localhost", "other.test", "a.b.three.test")
    one = issue(folder, "one.test", "uno.test")
    two = issue(tmp_path, "two.test")
    shutil.copy(two.path, folder / "two.test" / "fullchain.pem")
    shutil.copy(two.key, folder / "two.test" / "privkey.pem")
    three = issue(folder, "*.three.test", file="three")
    three.path.write_bytes(three.path.read_bytes() + three.key.read_bytes())
    three.key.unlink()
    port = free_port()
    with running(tmp_path, rtc=endpoint(port, first, f":sni={folder}")) as process:
        for name, wanted in (
            ("localhost", first), ("one.test", one), ("ONE.test", one), ("uno.test", one), ("two.test", two),
            ("a.three.test", three), ("other.test", first), ("a.b.three.test", first),
        ):  # fmt: skip
            assert shown_by(port, wanted, name) == wanted.certificate, name
        four = issue(folder, "four.test")
        assert shown_by(port, four, "four.test") == four.certificate
        logged(process, "read again")


@pytest.mark.proves("C-74")
def test_a_new_certificate_without_a_restart(tmp_path: Path) -> None:
    """Who is connected stays so. One that can't be used is logged, and the one before it stays."""
    ca = issue(tmp_path, "ca.test", ca=True)
    first = issue(tmp_path, "localhost", by=ca)
    port = free_port()
    with running(tmp_path, rtc=endpoint(port, first)) as process, call_in(port, trusting(ca)) as alice:
        assert shown_by(port, ca) == first.certificate
        second = issue(tmp_path, "localhost", by=ca)
        assert shown_by(port, ca) == second.certificate
        logged(process, "read again")
        first.path.write_text("nonsense")
        assert shown_by(port, ca) == second.certificate
        assert shown_by(port, ca) == second.certificate
        logged(process, "can't be read again")
        first.path.unlink()
        assert shown_by(port, ca) == second.certificate
        third = issue(tmp_path, "localhost", by=ca)
        assert shown_by(port, ca) == third.certificate
        alice.send(json.dumps(request("OPTIONS", "alice@gortc.local", "gortc.local")))
        assert json.loads(alice.recv(PATIENCE))["Code"] == 200
        failures = [event for event in process.events if "can't be read again" in event["event"]]
        assert len(failures) == 2  # once for each change, not for each connection


# peers who show certificates


@pytest.mark.proves("C-75")
def test_certificates_that_clients_show(tmp_path: Path, page: Page) -> None:
    """A good one of its own name lets a peer in; one of another name is refused; and who shows none is asked who it is.
    One that is expired, vouches for itself, or is another authority's does not get through TLS."""
    ca, server = issue(tmp_path, "ca.test", ca=True), issue(tmp_path, "localhost")
    stranger = issue(tmp_path, "strange.test", ca=True)
    alice = [x509.RFC822Name("alice@gortc.local")]
    port = free_port()
    rtc = endpoint(port, server, f":clientCA={ca.path}")
    with running(tmp_path, rtc=rtc, more='auth="mtls"') as process:
        good = issue(tmp_path, "alice", by=ca, names=alice)
        with call_in(port, trusting(server, good)):
            pass
        for shown, userid, status in ((good, "bob@gortc.local", 403), (None, "alice@gortc.local", 401)):
            with pytest.raises(InvalidStatus) as refused:
                call_in(port, trusting(server, shown), userid).__enter__()
            assert refused.value.response.status_code == status
        forged = issue(tmp_path, "forged", by=good, names=alice)
        forged.path.write_bytes(forged.path.read_bytes() + good.path.read_bytes())
        bad = {
            "it has expired": issue(tmp_path, "expired", by=ca, names=alice, days=(-2, -1)),
            "it is not valid yet": issue(tmp_path, "early", by=ca, names=alice, days=(1, 2)),
            "it vouches for itself": issue(tmp_path, "self", names=alice),
            "its issuer is not known": issue(tmp_path, "strange", by=stranger, names=alice),
            "its issuer may not": forged,
        }
        for number, (why, shown) in enumerate(bad.items(), 1):
            # TLS 1.3: the client learns of it only when it reads.
            with pytest.raises((OSError, EOFError, WebSocketException)):
                call_in(port, trusting(server, shown)).__enter__()
            logged(process, "TLS failed", number)
            logged(process, f"certificate verify failed: {why}")
        with call_in(port, trusting(server, good)):
            pass
    page.add(f"a client's certificate: {', '.join(bad)}", "TLS ends, and the log says why; 403 where it is another's")


# starts that fail


@pytest.mark.parametrize(
    ("listens", "why"),
    [
        ("privateKey=nowhere.pem", "No such file or directory: 'nowhere.pem'"),
        ("privateKey=empty.pem", "empty.pem, empty.pem: no certificate with its key"),
        ("certKey=localhost.pem:privateKey=other.key", "localhost.pem, other.key: no certificate with its key"),
        ("certKey=localhost.pem:privateKey=localhost.key:clientCA=empty.pem", "empty.pem has no certificates"),
        ("certKey=localhost.pem:privateKey=localhost.key:sni=nowhere", "No such file or directory: 'nowhere'"),
        ("certKey=localhost.pem:privateKey=localhost.key:sni=none", "none has no certificates"),
        ("certKey=localhost.pem:privateKey=localhost.key:extraCertChain=empty.pem", "empty.pem has no certificates"),
        ("certKey=localhost.pem:privateKey=localhost.key:sslmethod=SSLv3_METHOD", "no such key: sslmethod"),
        ("certKey=localhost.pem:privateKey=secret.key", "no certificate with its key"),
    ],
)
def test_endpoints_that_can_not_be(tmp_path: Path, listens: str, why: str) -> None:
    """The start ends with one line, and asks nobody for a passphrase."""
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

    shown = issue(tmp_path, "localhost")
    issue(tmp_path, "other")
    (tmp_path / "secret.key").write_bytes(
        shown.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )
    (tmp_path / "empty.pem").write_text("")
    (tmp_path / "none").mkdir()
    ended = start(tmp_path, f"tls:0:interface=127.0.0.1:{listens}")
    assert f"gortc: can't listen on tls:0:interface=127.0.0.1:{listens}: " in ended
    assert why in ended


@pytest.mark.parametrize(("text", "why"), [(None, "No such file"), ("nonsense", "has no certificates")])
def test_certificates_that_are_not_there(tmp_path: Path, text: str | None, why: str) -> None:
    """The start ends with one line."""
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    ended = start(tmp_path, "tcp:0:interface=127.0.0.1", f'"b.test": Route("wss://b.test/rtc", ca="{path}")')
    assert "gortc: routes: b.test: " in ended
    assert why in ended


def start(folder: Path, listens: str, routes: str = "") -> str:
    """What a server says that must not start."""
    config = folder / "bad.tac"
    config.write_text(CONFIG.format(realm="a.test", rtc=f'"{listens}",', routes=routes, more=""))
    run = twistd("-n", "--pidfile=", "gortc", "--config", str(config))
    ended = subprocess.run(run, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert "Traceback" not in ended.stdout + ended.stderr
    return ended.stdout
