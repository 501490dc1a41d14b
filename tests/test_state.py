"""The file of what was loaded and removed, in a folder that others may write to as well."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from gortc.state import State
from tests.oam.test_files import belongs_to

ONE_LINE = re.compile(r"\Astate_file: .+\Z")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Its place."""
    return tmp_path / "gortc.state"


def test_it_is_read_again_and_its_owners_alone(path: Path) -> None:
    old = os.umask(0)
    try:
        State(str(path)).put("services", "sales", "hunt400")
    finally:
        os.umask(old)
    assert State(str(path)).of("services") == {"sales": "hunt400"}
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]
    State(str(path)).forget("services", "sales")
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("planted", ["symlink_to", "hardlink_to"])
@pytest.mark.parametrize("name", ["gortc.state", "gortc.state.new"])
def test_what_is_planted_there_leads_nowhere(
    path: Path, monkeypatch: pytest.MonkeyPatch, planted: str, name: str
) -> None:
    victim = path.parent / "victim"
    victim.write_text("{}")
    state = State(str(path))
    getattr(path.parent / name, planted)(victim)
    if planted == "symlink_to":
        belongs_to(monkeypatch, path.parent / name)
    if (planted, name) == ("symlink_to", "gortc.state"):
        with pytest.raises(ValueError, match=r"state_file: .*symbolic"):
            State(str(path))
    state.put("services", "sales", "hunt400")
    assert victim.read_text() == "{}"
    assert State(str(path)).of("services") == {"sales": "hunt400"}
    assert path.is_file()
    assert not path.is_symlink()


def test_what_could_not_be_written_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int) -> None:
        raise OSError("no space")

    state = State(str(path))
    state.put("services", "sales", "hunt400")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        state.put("services", "more", "echo")
    assert list(path.parent.iterdir()) == [path]
    assert State(str(path)).of("services") == state.of("services") == {"sales": "hunt400"}


def test_a_name_alone_is_in_the_folder_where_we_are(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    State("gortc.state").put("services", "sales", None)
    assert State(str(path)).of("services") == {"sales": None}


def test_a_link_of_an_operator_is_followed_and_stays(path: Path) -> None:
    real = path.parent / "elsewhere" / "state"
    real.parent.mkdir()
    path.symlink_to(real)
    State(str(path)).put("services", "sales", "hunt400")
    assert json.loads(real.read_text()) == {"services": {"sales": "hunt400"}}
    assert State(str(path)).of("services") == {"sales": "hunt400"}
    State(str(path)).forget("services", "sales")
    assert path.is_symlink()
    assert list(real.parent.iterdir()) == []
    State(str(path)).put("apis", "toys.v1", None)
    assert path.is_symlink()
    assert list(real.parent.iterdir()) == [real]


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"a":' * 200_000, "[]", "{", "\x00", '{"a": {"b": 1}}', "", '{"a": ' + "1" * 5000 + "}"]
)
def test_what_can_not_be_followed_is_one_line(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ValueError, match=ONE_LINE):
        State(str(path))


def test_what_is_no_text_or_no_file(path: Path) -> None:
    path.write_bytes(b"\xff")
    with pytest.raises(ValueError, match=ONE_LINE):
        State(str(path))
    path.unlink()
    path.mkdir()
    with pytest.raises(ValueError, match=ONE_LINE):
        State(str(path))


def test_a_pipe_is_not_waited_for(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(ValueError, match=ONE_LINE):
        State(str(path))
