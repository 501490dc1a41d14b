"""The file of what was loaded and removed, in a folder that others may write to as well."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gortc.state import State


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
def test_what_is_planted_there_leads_nowhere(path: Path, planted: str, name: str) -> None:
    victim = path.parent / "victim"
    victim.write_text("{}")
    getattr(path.parent / name, planted)(victim)
    State(str(path)).put("services", "sales", "hunt400")
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
