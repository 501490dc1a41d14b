"""Files that lines are added to, in folders that others may write to as well."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gortc.oam import files
from gortc.oam.files import AccessLog, Lines, make_folder, reopen_all


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file that nothing may be written to."""
    path = tmp_path / "victim"
    path.write_text("mine\n")
    return path


def belongs_to(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """It is somebody else's, which only root could really make so."""
    inode, ours = path.lstat().st_ino, files._is_ours
    monkeypatch.setattr(files, "_is_ours", lambda found: found.st_ino != inode and ours(found))


def test_lines_are_added_and_the_file_is_for_few(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        lines = Lines(str(tmp_path / "log"))
    finally:
        os.umask(old)
    lines.write("one\n")
    lines.close()
    again = Lines(str(tmp_path / "log"))
    again.write("two\n")
    again.close()
    assert (tmp_path / "log").read_text() == "one\ntwo\n"
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o640


def test_a_link_of_an_operator_is_followed(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "log").symlink_to(victim)
    lines = Lines(str(tmp_path / "log"))
    lines.write("more\n")
    lines.close()
    assert victim.read_text() == "mine\nmore\n"


def test_a_link_of_somebody_else_is_not(tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tmp_path / "log"
    link.symlink_to(victim)
    belongs_to(monkeypatch, link)
    with pytest.raises(OSError, match="symbolic"):
        Lines(str(link))
    with pytest.raises(ValueError, match="access_log: "):
        AccessLog(str(link))


def test_a_hard_link_is_not_written_to(tmp_path: Path, victim: Path) -> None:
    os.link(victim, tmp_path / "log")
    with pytest.raises(OSError, match="second name"):
        Lines(str(tmp_path / "log"))
    assert victim.read_text() == "mine\n"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    with pytest.raises(OSError, match="No such device"):
        Lines(str(tmp_path / "log"))


def test_what_is_planted_before_it_is_opened_again(tmp_path: Path, victim: Path) -> None:
    """The old file goes on."""
    path = tmp_path / "log"
    lines = Lines(str(path))
    path.rename(tmp_path / "log.1")
    os.link(victim, path)
    reopen_all()
    lines.write("one\n")
    lines.close()
    assert victim.read_text() == "mine\n"
    assert (tmp_path / "log.1").read_text() == "one\n"


@pytest.mark.parametrize("planted", ["symlink_to", "hardlink_to", "a file"])
def test_a_new_file_is_new(tmp_path: Path, victim: Path, planted: str) -> None:
    path = tmp_path / "trace"
    if planted == "a file":
        path.touch()
    else:
        getattr(path, planted)(victim)
    with pytest.raises(FileExistsError):
        Lines(str(path), 0o600, new=True)
    assert victim.read_text() == "mine\n"


def test_a_folder_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(str(tmp_path / "a" / "b"), 0o750)
    make_folder(str(tmp_path / "a" / "b"), 0o750)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "a")
    make_folder(str(link), 0o750)
    belongs_to(monkeypatch, link)
    with pytest.raises(OSError, match="somebody else's"):
        make_folder(str(link), 0o750)
    belongs_to(monkeypatch, tmp_path / "a" / "b")
    with pytest.raises(OSError, match="somebody else's"):
        make_folder(str(tmp_path / "a" / "b"), 0o750)
