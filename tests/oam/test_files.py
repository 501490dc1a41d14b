"""Files that lines are added to, in folders that others may write to as well."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogLevel

from gortc.oam import files
from gortc.oam.files import AccessLog, Lines, make_folder, reopen_all
from gortc.oam.log import Level, observer


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


class Disk:
    """Has `room` for so many bytes more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = 10**6
        self._write = os.write
        monkeypatch.setattr("os.write", self.write)

    def write(self, file: int, data: bytes) -> int:
        """As `os.write` does on a full disk."""
        if data and not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self._write(file, data[: self.room])
        self.room -= written
        return written


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """With room for the first lines."""
    return Disk(monkeypatch)


def test_half_a_line_is_said_and_the_next_one_is_its_own(tmp_path: Path, disk: Disk) -> None:
    lines = Lines(str(tmp_path / "log"))
    lines.write("one\n")
    for room, line in ((3, "second\n"), (0, "third\n"), (1, "fourth\n"), (2, "fifth\n")):
        disk.room = room
        with pytest.raises(OSError, match="No space left"):
            lines.write(line)
    disk.room = 100
    lines.write("sixth\n")
    lines.write("seventh\n")
    lines.close()
    assert (tmp_path / "log").read_text() == "one\nsec\nfi\nsixth\nseventh\n"


@pytest.mark.parametrize("how", ["restart", "reopen", "reopen a new one"])
def test_half_a_line_of_before(tmp_path: Path, disk: Disk, how: str) -> None:
    """Of whoever has written last to the file: what opens it begins a line of its own."""
    path = tmp_path / "log"
    lines = Lines(str(path))
    disk.room = 3
    with pytest.raises(OSError, match="No space left"):
        lines.write("second\n")
    disk.room = 100
    if how == "restart":
        lines.close()
        lines = Lines(str(path))
    else:
        if how == "reopen a new one":
            path.rename(tmp_path / "log.1")
        reopen_all()
    lines.write("third\n")
    lines.close()
    assert path.read_text() == ("third\n" if how == "reopen a new one" else "sec\nthird\n")


def test_the_log_goes_on_when_there_is_room_again(tmp_path: Path, disk: Disk) -> None:
    """And says how much is missing."""
    path = tmp_path / "log"
    out = observer(Level("info"), "json", str(path))
    base: dict[str, Any] = {"log_time": 0.0, "log_level": LogLevel.info, "log_namespace": "gortc.x"}
    for number in range(6):
        disk.room = {1: 30, 5: 10**6}.get(number, 0 if number else 10**6)
        out({**base, "log_format": "event {number}", "number": number})
    told: list[Any] = []
    for line in path.read_text().splitlines():
        try:
            told.append(json.loads(line)["event"])
        except ValueError:
            told.append("half a line")
    missing = "4 events were not written, or not whole: there was no room"
    assert told == ["event 0", "half a line", missing, "event 5"]
    disk.room = 0
    out({**base, "log_format": "event 6"})
    disk.room = 10**6
    out.tell()
    out.tell()
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()[4:]] == [missing.replace("4", "1")]


def test_a_slow_reader_of_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    lines = Lines(str(tmp_path / "log"))
    assert not os.get_blocking(lines._file)  # or else this would not end
    said = 0

    def talk() -> None:
        nonlocal said
        while said < 10**6:
            lines.write(f"{said:099}\n")
            said += 1

    with pytest.raises(OSError, match=r"No space left|temporarily unavailable"):
        talk()
    assert said
    heard = b""
    while len(heard) < 100 * said:
        heard += os.read(reader, 10**6)
    lines.write("more\n")
    heard += os.read(reader, 10**6)
    lines.close()
    os.close(reader)
    assert heard.decode().splitlines()[-1] == "more"
    assert heard.decode().splitlines()[:said] == [f"{number:099}" for number in range(said)]


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
