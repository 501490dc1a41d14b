"""By TLS: peers, and next hops, whose certificates are checked."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from websockets.sync.client import connect

from tests.wire.kit import PATIENCE, Node, Peer, Process, ended_well, request, twistd
from tests.wire.proxy import free_port

CONFIG = """
from gortc import Route
from gortc.tap import configure, make_application
settings = configure(realm="{realm}", rtc=({rtc}), log_format="json", routes={{{routes}}})
application = make_application(settings)
"""


def make_certificate(folder: Path, name: str) -> Path:
    """A certificate for `name` that vouches for itself; its key is beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    path.with_suffix(".key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


@pytest.mark.proves("C-49", "C-52")
def test_its_certificate_counts(tmp_path: Path) -> None:
    """Whom we trust is called; whom we don't, or who is somebody else, is not."""
    good, other = make_certificate(tmp_path, "localhost"), make_certificate(tmp_path, "elsewhere.test")
    port = free_port()
    rtc = '"tcp:0:interface=127.0.0.1", "ssl:{}:interface=127.0.0.1:certKey={}:privateKey={}"'.format(
        port, good, good.with_suffix(".key")
    )
    url = f"wss://localhost:{port}/rtc"
    routes = (
        f'"b.test": Route("{url}", ca="{good}"), "c.test": Route("{url}", ca="{other}"), "d.test": Route("{url}"), '
        f'"e.test": Route("wss://127.0.0.1:{port}/rtc", ca="{good}")'
    )
    with ExitStack() as stack:
        nodes = []
        for realm, listens, reaches in (("b.test", rtc, ""), ("a.test", '"tcp:0:interface=127.0.0.1",', routes)):
            config = tmp_path / f"{realm}.tac"
            config.write_text(CONFIG.format(realm=realm, rtc=listens, routes=reaches))
            process = Process(tmp_path, "gortc", "--config", str(config))
            stack.callback(ended_well, process)
            nodes.append(Node(process, process.ports()[0], realm))
        alice, bob = Peer(nodes[1], "alice"), Peer(nodes[0], "bob")
        up = alice.open("MESSAGE", bob.name, Body="hi")
        down = bob.answering("MESSAGE", Body="hi")
        down.reply(200)
        up.expect(200)
        for host in ("c.test", "d.test", "e.test"):
            up = alice.open("MESSAGE", f"bob@{host}")
            reason = up.expect(503)["Reason"]
            assert "TLS: " in reason, reason


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A node that peers reach by TLS: its host and port, and its certificate."""
    certificate = make_certificate(tmp_path, "localhost")
    port = free_port()
    rtc = f'"ssl:{port}:interface=127.0.0.1:certKey={certificate}:privateKey={certificate.with_suffix(".key")}",'
    config = tmp_path / "secure.tac"
    config.write_text(CONFIG.format(realm="gortc.local", rtc=rtc, routes=""))
    process = Process(tmp_path, "gortc", "--config", str(config))
    try:
        process.wait_for(lambda events: any(f"wss://127.0.0.1:{port}" in event["event"] for event in events) or None)
        yield f"localhost:{port}", certificate
    finally:
        ended_well(process)


def test_a_peer_by_tls(secure: tuple[str, Path]) -> None:
    """It calls as any other does."""
    host, certificate = secure
    trusting = ssl.create_default_context(cafile=str(certificate))
    with connect(f"wss://{host}/rtc?userid=alice@gortc.local", ssl=trusting, proxy=None) as alice:
        asked = request(
            "MESSAGE", "alice@gortc.local", "echo@gortc.local", Router="gortc.local;type=echo", Body="x" * 50_000
        )
        for _ in range(20):
            alice.send(json.dumps(asked))
            said = json.loads(alice.recv(PATIENCE))
            assert (said["Code"], said["Body"]) == (200, asked["Body"])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
def test_old_versions_of_tls(secure: tuple[str, Path], version: ssl.TLSVersion) -> None:
    """RFC 8996: they must not be used."""
    host, port = secure[0].split(":")
    old = ssl.create_default_context(cafile=str(secure[1]))
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = version
    old.set_ciphers("ALL:@SECLEVEL=0")  # else we ourselves would not offer it
    with (
        socket.create_connection(("127.0.0.1", int(port)), PATIENCE) as raw,
        pytest.raises(ssl.SSLError, match=r"(?i)version"),
    ):
        old.wrap_socket(raw, server_hostname=host)


@pytest.mark.parametrize(("text", "why"), [(None, "No such file"), ("nonsense", "has no certificates")])
def test_certificates_that_are_not_there(tmp_path: Path, text: str | None, why: str) -> None:
    """The start ends with one line."""
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    config = tmp_path / "bad.tac"
    route = f'"b.test": Route("wss://b.test/rtc", ca="{path}")'
    config.write_text(CONFIG.format(realm="a.test", rtc='"tcp:0:interface=127.0.0.1",', routes=route))
    run = twistd("-n", "--pidfile=", "gortc", "--config", str(config))
    ended = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert "gortc: routes: b.test: " in ended.stdout
    assert why in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr
