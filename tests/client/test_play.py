"""`gortc-ua play`: over sockets to a server in this process, and in memory; what it says, and how it ends."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import pytest_twisted
from twisted.internet import reactor

from gortc.client import play
from gortc.client.main import main
from gortc.server import Server
from tests.client.kit import url_of

MESSAGE = """
title: A message
parties: [alice, bob]
steps:
  - {send: alice MESSAGE, to: bob, Body: $text}
  - {expect: bob MESSAGE, Body: hello}
  - {send: bob 200}
  - {expect: alice 200 MESSAGE}
variables: {text: hello}
"""
CALL = """
title: A call to echo
parties: [alice]
steps:
  - {send: alice INVITE, to: echo, Router: "$realm;type=echo", Body: an offer}
  - {expect: alice 180}
  - {expect: alice 200, Body: an offer}
  - {send: alice ACK}
  - {nothing: all}
  - {send: alice BYE}
  - {expect: alice 200 BYE}
"""


def write(folder: Path, **scripts: str) -> None:
    for name, text in scripts.items():
        (folder / f"{name}.yaml").write_text(text)


async def played(server: Server | None, path: Path, *more: str) -> int:
    """Play what is at `path` as the command does."""
    parser = argparse.ArgumentParser()
    play.arguments(parser)
    options = parser.parse_args([str(path), "--url", url_of(server), *more])
    how = {"users": play.pairs(options.user), "variables": play.pairs(options.set)}
    return await play.play(reactor, list(play.collect(path)), options, how)


@pytest_twisted.ensureDeferred
async def test_all_go_as_they_should(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, a=MESSAGE, b=CALL)
    assert await played(server, tmp_path) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"ok    {tmp_path}/a.yaml: A message (")
    assert said[1].startswith(f"ok    {tmp_path}/b.yaml: A call to echo (")
    assert said[-1] == "2 played, 0 failed"
    assert not any(server.node.census().values())


@pytest_twisted.ensureDeferred
async def test_one_that_fails(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its first wrong step, what came instead, and the ladder; the others are played all the same."""
    write(tmp_path, a=MESSAGE.replace("bob 200", "bob 603"), b=CALL)
    report = tmp_path / "report.xml"
    assert await played(server, tmp_path, "--junit", str(report)) == 1
    said = capsys.readouterr().out
    assert "FAIL" in said
    assert "a.yaml:8\n" in said
    assert "expected  alice 200 MESSAGE" in said
    assert '"Code":603' in said
    assert "it is no 200" in said
    assert "603 Decline (MESSAGE)" in said
    assert "2 played, 1 failed" in said
    suite = ElementTree.parse(report).getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert [case.get("name") for case in suite] == ["A message", "A call to echo"]
    assert "603" in str(suite[0][0].text)
    assert len(suite[1]) == 0


@pytest_twisted.ensureDeferred
async def test_variables_and_users_are_the_options(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, a=MESSAGE)
    assert await played(server, tmp_path, "--set", "text=bye") == 1
    assert "Body should be 'hello', but is 'bye'" in capsys.readouterr().out
    write(tmp_path, a=MESSAGE.replace("Body: hello", "From: robert@gortc.local"))
    assert await played(server, tmp_path, "--user", "alice=robert@gortc.local", "--ladder") == 0
    assert "--- MESSAGE ---" in capsys.readouterr().out


@pytest_twisted.ensureDeferred
async def test_nobody_listens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, a=MESSAGE)
    assert await played(None, tmp_path) == 1
    said = capsys.readouterr().out
    assert "alice connects as alice@gortc.local" in said
    assert "refused" in said


@pytest_twisted.ensureDeferred
async def test_two_sides_of_the_older_form_together(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each script is one user; all are connected before the first one says anything."""
    call = {"Type": "MESSAGE", "Request-URI": "b@gortc.local", "From": "a@gortc.local", "To": "b@gortc.local"}
    (tmp_path / "b.json").write_text(json.dumps([
        {"type": "recv", "value": {"Type": "MESSAGE", "Body": "hi"}, "timeout": "10s",
         "vars": {"$id": "DialogueID", "$cseq": "CSeq"}},
        {"type": "send", "value": {"Type": "RESPONSE", "Code": 200, "From": "a@gortc.local", "To": "b@gortc.local"},
         "vars": {"DialogueID": "$id", "CSeq": "$cseq"}},
        {"type": "end"},
    ]))  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps([
        {"type": "send", "value": {**call, "DialogueID": "a", "CSeq": 1, "Body": "hi"}},
        {"type": "recv", "value": {"Type": "RESPONSE", "Code": 200}, "timeout": "10s"},
    ]))  # fmt: skip
    assert await played(server, tmp_path, "--together") == 0, capsys.readouterr().out


def test_in_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An hour of virtual time, and the configuration that the scenario asks for; nothing may be left."""
    write(
        tmp_path,
        a=MESSAGE + "settings: {times: {transaction: 7}}\n",
        b=CALL.replace("{nothing: all}", "{pause: 60}"),
        c=CALL.split("  - {nothing: all}")[0],
    )
    trace = tmp_path / "trace.jsonl"
    assert main(["play", "--memory", "--trace", str(trace), str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "ok    " in said
    assert "(60.00 s)" in said
    assert "nothing is left in the server" in said
    assert "3 played, 1 failed" in said
    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    assert (lines[0]["from"], lines[0]["to"]) == ("alice@gortc.local", "gortc")
    assert lines[0]["message"]["Body"] == "hello"
    assert main(["ladder", str(trace), "--party", "bob@gortc.local"]) == 0
    assert "MESSAGE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words", "complaint"),
    [
        (None, [], "No such file"),
        ("{steps: [{say: x}]}", [], "a.yaml:1"),
        (MESSAGE, ["--set", "x"], "'x' is not NAME=VALUE"),
        (MESSAGE.replace("hello}", "$nothing}"), ["--memory"], "$nothing has no value"),
        (MESSAGE + "settings: {colour: red}", ["--memory"], "colour"),
        (MESSAGE + "settings: {realm: ''}", ["--memory"], "realm"),
        (MESSAGE + "services: {nobodys: {}}", ["--memory"], "nobodys"),
    ],
)
def test_what_can_not_be_played(
    tmp_path: Path, text: str | None, words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and status 2."""
    script = tmp_path / "a.yaml"
    if text is not None:
        script.write_text(text)
    assert main(["play", str(script), *words]) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1


def test_a_folder_without_scenarios(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", str(tmp_path)]) == 2
    assert "no scenario file" in capsys.readouterr().err


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert all(name in said for name in ("play", "load", "call", "ladder"))
