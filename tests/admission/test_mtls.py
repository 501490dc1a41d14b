"""The authenticator `mtls`: which names a certificate is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from twisted.internet.task import Clock
from twisted.logger import Logger

from gortc.admission.interfaces import AuthContext, Handshake, Refused
from gortc.admission.mtls import ask, load_mtls, names
from tests.certificates import issue


def shown(userid: str, certificate: Any) -> Handshake:
    """The handshake of a peer that shows `certificate`."""
    return Handshake(userid=userid, address="203.0.113.5", url="/rtc", headers={}, certificate=certificate)


NAMES = [
    x509.DNSName("B.test"),
    x509.DNSName("*.wild.test"),
    x509.RFC822Name("alice@GORTC.local"),
    x509.UniformResourceIdentifier("sip:bob@b.test"),
    x509.UniformResourceIdentifier("SIP:c.test"),
    x509.UniformResourceIdentifier("sips:%65ve@B.test"),
    x509.UniformResourceIdentifier("https://d.test"),
    x509.DNSName("xn--bcher-KVA.test"),
    x509.RFC822Name("%66rank@b.test"),
]


@pytest.mark.parametrize(
    "userid",
    ["b.test", "alice@gortc.local", "bob@b.test", "c.test", "eve@b.test", "xn--bcher-kva.test", "%2566rank@b.test"],
)
def test_names_that_it_is_for(tmp_path: Path, userid: str) -> None:
    assert ask(shown(userid, issue(tmp_path, "x.test", names=NAMES).certificate)) == userid


@pytest.mark.parametrize(
    "userid",
    ["x.test", "a.wild.test", "*.wild.test", "Alice@gortc.local", "d.test", "alice@b.test", "test", "frank@b.test"],
)
def test_names_that_it_is_not_for(tmp_path: Path, userid: str) -> None:
    """Its common name is one of them."""
    with pytest.raises(Refused, match="403 your certificate is not"):
        ask(shown(userid, issue(tmp_path, "x.test", names=NAMES).certificate))


MISFITS = {
    x509.DNSName: [
        "alice@gortc.local", "sip:alice@gortc.local", "alice%40gortc.local", "*.b.test", "b.*", "b.test.", ".b.test",
        "b..test", "b.test:5061", "b.test/x", "b.test;x=1", "10.0.0.1", "2130706433", "a.123", "[::1]", "::1",
        "b.test\x00.evil.example", "b.test\n", " b.test", "b_c.test", "-b.test", "b-.test", f"{'a' * 64}.test",
        ".".join(["a" * 60] * 5), "", "tel:1",
    ],
    x509.RFC822Name: [
        "b.test", "@b.test", "alice@", "sip:alice@b.test", "alice@b.test@gortc.local", '"alice"@b.test',
        "alice@*.test", "alice@10.0.0.1", "alice@[10.0.0.1]", "a b@b.test", "alice@b.test.", "alice@b.test:5060",
        "alice@b.test;x=1", "alice\x00@b.test", "a..b@b.test", "alice,bob@b.test", "<alice@b.test>", "alice@b.test\n",
    ],
    x509.UniformResourceIdentifier: [
        "alice@b.test", "b.test", "tel:+4930", "https://b.test", "sip:", "sip:@b.test", "sip:alice@",
        "sip:alice:pw@b.test", "sip:b.test:5061", "sip:alice@b.test;transport=tcp", "sip:alice@b.test?x=1",
        "sip:*.b.test", "sip:10.0.0.1", "sip:[::1]", "sip:b.test.", "sip:a@b@b.test", "sip:sip:alice@b.test",
        "sip://b.test", "sip:alice\x00@b.test", "xsip:b.test", "sip:alice@b.test\n", "sip:%@b.test",
        "sip:alice,bob@b.test",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in MISFITS.items() for text in texts], ids=ascii
)
def test_a_name_has_the_shape_of_its_kind(tmp_path: Path, kind: Any, text: str) -> None:
    """A host's name makes no user, a mailbox no node, and what is neither makes nobody."""
    assert names(issue(tmp_path, "x.test", names=[kind._init_without_validation(text)]).certificate) == set()


def test_one_without_alternative_names(tmp_path: Path) -> None:
    certificate = issue(tmp_path, "x.test", names=()).certificate
    assert names(certificate) == set()
    with pytest.raises(Refused):
        ask(shown("x.test", certificate))


def test_without_a_certificate_the_next_one_is_asked() -> None:
    assert ask(shown("b.test", None)) is None


def test_there_is_nothing_to_configure() -> None:
    log = Logger()
    assert load_mtls(AuthContext("mtls", {}, "gortc.local", Clock(), log)) is ask
    with pytest.raises(ValueError, match="no such key: ca"):
        load_mtls(AuthContext("mtls", {"ca": "ca.pem"}, "gortc.local", Clock(), log))
