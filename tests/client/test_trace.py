"""A saved trace: written, read again, and drawn."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, cast
from xml.etree import ElementTree

import pytest
from twisted.logger import FileLogObserver, ILogObserver, globalLogPublisher

from gortc import Call, service
from gortc.client import trace
from gortc.client.ladder import Ladder
from gortc.client.trace import Recorder, Said, TraceError, choose, line, read
from gortc.oam.log import as_json, as_text
from gortc.testing import Lab

INVITE = {"Type": "INVITE", "DialogueID": "one", "CSeq": 1}
OK = {"Type": "RESPONSE", "Code": 200, "Desc": "OK", "DialogueID": "one", "CSeq": 1}
MESSAGE = {"Type": "MESSAGE", "DialogueID": "two", "CSeq": 1}
ALICE, BOB = "alice@gortc.local", "bob@gortc.local"
SAID = [
    Said(1700000000.123, ALICE, "gortc", INVITE),
    Said(1700000000.124, "gortc", ALICE, OK),
    Said(1700000001.5, "gortc", BOB, MESSAGE),
]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A trace of three messages."""
    file = tmp_path / "trace.jsonl"
    recorder = Recorder(str(file))
    for said in SAID:
        recorder.add(*said)
    recorder.close()
    return file


@service("refuse")
async def refuse(call: Call) -> None:
    """Says no, and says so."""
    call.caller.reject(486)


@pytest.fixture(params=[as_json, as_text])
def log(request: pytest.FixtureRequest) -> Iterator[tuple[Lab, io.StringIO]]:
    """A server whose messages are traced, and its log, in both formats."""
    out = io.StringIO()
    form: Callable[[Any], str | None] = request.param
    observer = cast(ILogObserver, FileLogObserver(out, form))
    globalLogPublisher.addObserver(observer)
    yield Lab(refuse, trace=True), out
    globalLogPublisher.removeObserver(observer)


def command(*words: str) -> int:
    """`gortc-ua ladder WORDS`."""
    parser = argparse.ArgumentParser()
    trace.arguments(parser)
    return trace.run(parser.parse_args(words))


# writing and reading


def test_a_line() -> None:
    text = line(1700000000.123, ALICE, "gortc", {"Type": "BYE", "Body": "a\nb"})
    assert json.loads(text) == {
        "time": 1700000000.123, "from": ALICE, "to": "gortc", "message": {"Type": "BYE", "Body": "a\nb"}
    }  # fmt: skip
    assert "\n" not in text


def test_what_is_recorded_is_read(saved: Path) -> None:
    assert read(saved.open("rb"), "x") == SAID


def test_recorders_add_to_what_is_there(saved: Path) -> None:
    recorder = Recorder(str(saved))
    recorder.add(1700000002, BOB, "gortc", OK)
    assert len(saved.read_text().splitlines()) == 4  # before it is closed
    recorder.close()
    assert read(saved.open("rb"), "x")[3] == Said(1700000002, BOB, "gortc", OK)


def test_no_place_for_a_trace(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Recorder(str(tmp_path / "nowhere" / "trace"))


def test_the_log_of_a_server(log: tuple[Lab, io.StringIO]) -> None:
    """The messages that a server logs with --trace are those of the ladder, in both formats."""
    lab, out = log
    alice = lab.user("alice")
    call = alice.call("400", 'v=0\r\no=- it\'s "x" \u2028 \u00fc')
    call.expect(486)
    call.ack()
    lab.check_empty()
    text = out.getvalue()
    assert "gortc.trace" in text
    said = read(io.BytesIO(text.encode()), "x")
    assert [(one.source, one.target) for one in said] == [(ALICE, "gortc"), ("gortc", ALICE), (ALICE, "gortc")]
    assert said[0].message == call.request
    assert said[2].message["Type"] == "ACK"
    ladder = Ladder()
    for one in said:
        ladder.add(0.0, *one[1:])
    assert ladder.draw() == lab.ladder.draw()


def test_the_time_of_a_logged_message() -> None:
    record = {"time": "2023-11-14T22:13:20.125Z", "source": "gortc.trace", "direction": ">", "channel": BOB}
    text = f"2023-11-14T22:13:20.250Z info  [gortc.trace] < {BOB} {OK}"
    data = f"{json.dumps(record | {'headers': MESSAGE})}\r\n{text}\n".encode()
    assert read(io.BytesIO(data), "x") == [
        Said(1700000000.125, "gortc", BOB, MESSAGE),
        Said(1700000000.25, BOB, "gortc", OK),
    ]


NO_MESSAGE = [
    "", "   ", "nothing of interest", "[1, 2]", "{", "{}", "{1: 2}", "null", "\ufffd",
    '{"time": "soon", "from": "a", "to": "b", "message": {}}',
    '{"time": true, "from": "a", "to": "b", "message": {}}',
    '{"time": 1, "from": 1, "to": "b", "message": {}}',
    '{"time": 1, "from": "a", "message": {}}',
    '{"time": 1, "from": "a", "to": "b", "message": "INVITE"}',
    '{"time": 1, "from": "a", "to": "b", "message": {"Type": "INV',
    '{"time": "2023-11-14T22:13:20.125Z", "source": "gortc.server", "event": "listening"}',
    '{"time": 5, "source": "gortc.trace", "direction": ">", "channel": "b", "headers": {}}',
    '{"time": "2023-11-14T22:13:20.125Z", "source": "gortc.trace", "direction": ">", "channel": "b"}',
    '{"time": "2023-11-14T22:13:20.125Z", "source": "gortc.trace", "direction": ">", "channel": 7, "headers": {}}',
    "2023-11-14T22:13:20.125Z info  [gortc.server] > bob {'Type': 'BYE'}",
    "2023-11-14T22:13:20.125Z info  [gortc.trace] > bob {'Type': open('x')}",
    "2023-11-14T22:13:20.125Z info  [gortc.trace] > bob {'Type': 'B",
    "2023-11-14T22:13:20.125Z info  [gortc.trace] > bob {'Type'}",
    "yesterday info  [gortc.trace] > bob {'Type': 'BYE'}",
    "2023-11-14T22:13:20.125Z info  [gortc.trace] > bob {'a': " + "[" * 5000 + "]" * 5000 + "}",
]  # fmt: skip


def test_other_lines_are_skipped() -> None:
    lines = [*(text.encode() for text in NO_MESSAGE), b"\xff\xfe\x00"]
    traced = line(*SAID[0]).encode()
    assert read([lines[0], *(one for other in lines for one in (other, traced))], "x") == [SAID[0]] * len(lines)


@pytest.mark.parametrize(
    ("text", "where"), [("", "x:1: it is empty"), ("\n\n", "x:1: it is empty"), ("\nhello\nthere\n", "x:2: no line")]
)
def test_nothing_to_read(text: str, where: str) -> None:
    with pytest.raises(TraceError) as raised:
        read(io.BytesIO(text.encode()), "x")
    assert str(raised.value).startswith(where)


def test_several_traces_in_one_are_in_order_of_time() -> None:
    lines = [line(*said).encode() for said in reversed(SAID)]
    assert read(lines, "x") == SAID


@pytest.mark.parametrize(
    ("dialogues", "parties", "chosen"),
    [
        ([], [], [0, 1, 2]),
        (["one"], [], [0, 1]),
        (["one", "two"], [], [0, 1, 2]),
        ([], ["bob"], [2]),
        ([], [ALICE], [0, 1]),
        ([], ["alice", BOB], [0, 1, 2]),
        (["two"], ["alice"], []),
        ([], ["gortc"], [0, 1, 2]),
        ([], ["ali"], []),
    ],
)
def test_choosing(dialogues: list[str], parties: list[str], chosen: list[int]) -> None:
    assert choose(SAID, dialogues, parties) == [SAID[number] for number in chosen]


# the command


def test_the_ladder_of_a_file(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(str(saved)) == 0
    assert capsys.readouterr().out.splitlines() == [
        "               alice             gortc              bob",
        "   0.000          |---- INVITE ---->|                 |",
        "   0.001          |<---- 200 OK ----|                 |",
        "   1.377          |                 |--- MESSAGE ---->|",
    ]


def test_what_was_chosen_as_mermaid(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(str(saved), "--format", "mermaid", "--dialogue", "one", "--party", "alice") == 0
    assert capsys.readouterr().out == (
        "sequenceDiagram\n    participant p1 as alice\n    participant p2 as gortc\n"
        "    p1->>p2: INVITE\n    p2-->>p1: 200 OK\n"
    )


def test_svg_to_a_file(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawing = tmp_path / "call.svg"
    assert command(str(saved), "--format", "svg", "--output", str(drawing)) == 0
    assert capsys.readouterr().out == ""
    texts = [element.text for element in ElementTree.parse(drawing).getroot().iter() if element.tag.endswith("text")]
    assert {"INVITE", "200 OK", "MESSAGE", "alice", "bob", "1.377"} <= set(texts)


def test_standard_input(saved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(saved.read_bytes())))
    assert command("-", "--dialogue", "two") == 0
    assert "MESSAGE" in capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"what?\n")))
    assert command("-") == 2
    assert capsys.readouterr().err.startswith("gortc-ua: standard input:1: no line traces a message")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["{folder}/nothing"], "No such file or directory"),
        (["{folder}"], "Is a directory"),
        (["{folder}/trace.jsonl", "--output", "{folder}/no/where"], "No such file or directory"),
        (["{folder}/trace.jsonl", "--party", "carol"], "none of its 3 messages is of that dialogue and party"),
    ],
)
def test_what_can_not_be_done(saved: Path, words: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(*(word.format(folder=saved.parent) for word in words)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("gortc-ua: ")
    assert error in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("limit", ["ROWS_MAX", "PARTIES_MAX"])
def test_too_much_to_draw(
    saved: Path, limit: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trace, limit, 2)
    assert command(str(saved)) == 2
    assert "3 messages between 3 parties are too many to draw; choose some" in capsys.readouterr().err
    assert command(str(saved), "--party", "alice") == 0
