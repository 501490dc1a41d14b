"""`twistd gortc` and `twistd -ny some.tac`: what they do with good and with bad options, files and plugins."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gortc.tap import Options
from tests.wire.kit import Node, Peer, Process, plugin_folder, twistd

PROJECT = Path(__file__).parents[2]
LOOPBACK = "tcp:0:interface=127.0.0.1"
BEGIN = "from gortc.tap import configure, make_application\n"

FILES = {
    "syntax.tac": "settings = (\n",
    "raises.tac": "x = 1\nsettings = {}['realm']\n",
    "raises_in_a_call.tac": "def fail():\n    raise RuntimeError('no')\n\n\nfail()\n",
    "nothing.tac": "realm = 'x'\n",
    "wrong.tac": "settings = {'realm': 'x'}\n",
    "invalid.tac": BEGIN + "settings = configure(realm='not a host')\n",
    "unknown.tac": BEGIN + "settings = configure(relam='x')\n",
    "missing_plugin.tac": BEGIN + "settings = configure(services={'nowhere': {}})\n",
    "missing_use.tac": BEGIN + "from gortc import Use\nsettings = configure(services={'mine': Use('nowhere')})\n",
    "times.tac": BEGIN + "from gortc import Times\nsettings = configure(times=Times(ack=-1))\n",
    "import.tac": "import no_such_module\n",
}

# arguments of `twistd -n gortc` -> what the one line names
BAD = {
    "unknown option": (("--relam", "x"), "relam"),
    "an argument too many": (("something",), ""),
    "realm with a space": (("--realm", "a b"), "realm"),
    "realm empty": (("--realm", ""), "realm"),
    "realm a user": (("--realm", "a@b"), "realm"),
    "endpoint unreadable": (("--rtc", "nonsense"), "rtc"),
    "endpoint of a bad port": (("--rtc", "tcp:http"), "rtc"),
    "endpoint of a port too high": (("--rtc", "tcp:99999:interface=127.0.0.1"), "rtc"),
    "beyond loopback": (("--rtc", "tcp:0"), "--auth none"),
    "beyond loopback, IPv6": (("--rtc", "tcp6:0:interface=\\:\\:"), "--auth none"),
    "log level": (("--log-level", "loud"), "log_level"),
    "log format": (("--log-format", "xml"), "log_format"),
    "auth": (("--auth", "maybe"), "auth"),
    "config missing": (("--config", "no.tac"), "no.tac"),
    "config a folder": (("--config", "."), "config ."),
    "config: syntax error": (("--config", "syntax.tac"), "syntax.tac, line 1"),
    "config raises": (("--config", "raises.tac"), "raises.tac, line 2: KeyError"),
    "config raises in a call": (("--config", "raises_in_a_call.tac"), "RuntimeError: no"),
    "config imports what is not there": (("--config", "import.tac"), "no_such_module"),
    "config without settings": (("--config", "nothing.tac"), "settings"),
    "config with other settings": (("--config", "wrong.tac"), "settings"),
    "config: invalid setting": (("--config", "invalid.tac"), "realm"),
    "config: unknown setting": (("--config", "unknown.tac"), "relam"),
    "config: invalid time": (("--config", "times.tac"), "ack"),
    "config: missing plugin": (("--config", "missing_plugin.tac"), "nowhere"),
    "config: missing plugin in Use": (("--config", "missing_use.tac"), "nowhere"),
}

WHOLE = (
    "unknown option", "realm with a space", "endpoint unreadable", "beyond loopback", "config missing",
    "config: syntax error", "config raises", "config without settings", "config: invalid setting",
    "config: missing plugin",
)  # fmt: skip
"""Those of them that a whole process is started for; all of them are tried in this one."""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run twistd to its end."""
    return subprocess.run(
        twistd(*arguments),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files are."""
    made = tmp_path_factory.mktemp("tap")
    for name, text in FILES.items():
        (made / name).write_text(text)
    return made


@pytest.fixture(scope="module")
def endings(folder: Path) -> dict[str, subprocess.CompletedProcess[str]]:
    """How each bad start has ended; they run at the same time."""
    with ThreadPoolExecutor(3) as pool:
        runs = {case: pool.submit(run, folder, "-n", "--pidfile=", "gortc", *BAD[case][0]) for case in WHOLE}
        return {case: future.result() for case, future in runs.items()}


def assert_one_line(ended: subprocess.CompletedProcess[str], named: str) -> None:
    """It failed, with one line that begins with our name, and no traceback."""
    said = (ended.stdout + ended.stderr).strip()
    assert ended.returncode not in (0, None)
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1, said
    assert said.startswith("gortc: "), said
    assert named in said


@pytest.mark.parametrize("case", BAD)
def test_bad_options(folder: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """The command line can't be followed: the program ends with one line."""
    monkeypatch.chdir(folder)
    arguments, named = BAD[case]
    with pytest.raises(SystemExit) as ended:
        Options().parseOptions(arguments)
    said = str(ended.value.code)
    assert said.startswith("gortc: ")
    assert len(said.splitlines()) == 1
    assert named in said


@pytest.mark.parametrize("case", WHOLE)
def test_bad_starts(endings: dict[str, subprocess.CompletedProcess[str]], case: str) -> None:
    """Exactly one clear line, an exit status that is not 0, no traceback."""
    assert_one_line(endings[case], BAD[case][1])


@pytest.mark.parametrize("name", ["invalid.tac", "unknown.tac"])
def test_bad_tac(folder: Path, name: str) -> None:
    """The same by `twistd -ny`."""
    assert_one_line(run(folder, "-n", "--pidfile=", "-y", name), "rea" if name == "invalid.tac" else "relam")


def test_port_in_use(folder: Path) -> None:
    """One line says which."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        ended = run(folder, "-n", "--pidfile=", "gortc", "--rtc", endpoint)
    lines = [line for line in (ended.stdout + ended.stderr).splitlines() if "gortc:" in line]
    assert ended.returncode != 0
    assert "Traceback" not in ended.stdout + ended.stderr
    assert len(lines) == 1, ended
    assert endpoint in lines[0]


def test_a_daemon_that_cannot_start(folder: Path) -> None:
    """The command that waits for it says so, too, and leaves no pidfile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        ended = run(folder, "gortc", "--rtc", endpoint)
    assert ended.returncode == 1
    assert f"can't listen on {endpoint}" in ended.stdout + ended.stderr
    end = time.monotonic() + 30
    while (folder / "twistd.pid").exists():  # the daemon has said why, and is on its way out
        assert time.monotonic() < end
        time.sleep(0.02)


def test_help(folder: Path) -> None:
    """`--help` tells every option with its default."""
    ended = run(folder, "gortc", "--help")
    assert ended.returncode == 0
    for option in ("--realm", "--rtc", "--config", "--log-level", "--log-format", "--auth", "--trace", "tcp:8080"):
        assert option in ended.stdout
    assert "gortc" in run(folder, "--help").stdout


def test_options_override_the_configuration(folder: Path) -> None:
    """And what they do not name stays; JSON is one object a line."""
    (folder / "base.tac").write_text(
        BEGIN + "settings = configure(realm='config.test', rtc=('tcp:1:interface=127.0.0.1',), log_format='json', "
        "services={'echo': None})\n"
    )
    process = Process(
        folder, "gortc", "--config", "base.tac", "--realm", "option.test", "--rtc", LOOPBACK, "--rtc", LOOPBACK
    )
    try:
        ports = process.ports(2)
        node = Node(process, ports[0], "option.test")
        alice, bob = Peer(node, "alice"), Peer(Node(process, ports[1], "option.test"), "bob")
        talk = alice.open("MESSAGE", bob.name)
        bob.answering("MESSAGE").reply(200)
        talk.expect(200)
        alice.open("MESSAGE", "a@option.test").expect(480)
        alice.open("MESSAGE", "a@config.test").expect(404)
        alice.open("MESSAGE", "a", Router="x;type=echo").expect(404)
        for peer in (alice, bob):
            peer.leave()
    finally:
        process.stop()
    assert process.other == []
    assert {"time", "level", "source", "event"} <= set(process.events[0])
    assert not process.tracebacks()


def test_trace(folder: Path) -> None:
    """`--trace` logs each message."""
    process = Process(folder, "gortc", "--rtc", LOOPBACK, "--trace", "--log-format", "json")
    try:
        alice = Peer(Node(process, process.ports()[0], "gortc.local"), "alice")
        question = alice.open("OPTIONS", "x")
        question.expect(480)
        alice.leave()
    finally:
        process.stop()
    traced = [event for event in process.events if event["source"] == "gortc.trace"]
    assert [(event["direction"], event["channel"]) for event in traced] == [("<", alice.name), (">", alice.name)]
    assert question.first in traced[0].values(), "the message as an object, not as text only"


def test_text_log_and_tac(folder: Path) -> None:
    """`twistd -ny some.tac`: text, one line an event, to a file if the settings say so."""
    (folder / "file.tac").write_text(
        BEGIN + f"settings = configure(api='', rtc=('{LOOPBACK}',), log_file='{folder / 'gortc.log'}')\n"
        "application = make_application(settings)\n"
        "from twisted.internet import reactor\nreactor.callLater(0.2, reactor.stop)\n"
    )
    ended = run(folder, "-n", "--pidfile=", "-y", "file.tac")
    assert ended.returncode == 0, ended
    lines = (folder / "gortc.log").read_text().splitlines()
    assert any(" info  [gortc.server] listening on ws://127.0.0.1:" in line for line in lines), lines


PLUGIN = """
from gortc import service

@service("{name}")
async def {name}(call):
    call.caller.reply(call.caller.request, 200, "{name}")
"""


def test_plugins_of_the_current_directory(tmp_path: Path) -> None:
    """`slp_plugins/` and `twisted/plugins/` are searched; what fails there is logged, the rest go on."""
    plugin_folder(
        tmp_path,
        mine=PLUGIN.format(name="mine"),
        broken="import no_such_module\n",
        typo="def (:\n",
        unloadable="from gortc import service\n\ndef load(context):\n    raise RuntimeError('can not load')\n\n"
        "@service('unloadable', load)\nasync def unloadable(call):\n    pass\n",
    )
    (tmp_path / "twisted" / "plugins").mkdir(parents=True)
    (tmp_path / "twisted" / "plugins" / "theirs.py").write_text(PLUGIN.format(name="theirs"))
    process = Process(tmp_path, "gortc", "--rtc", LOOPBACK, "--log-format", "json")
    try:
        alice = Peer(Node(process, process.ports()[0], "gortc.local"), "alice")
        for name in ("mine", "theirs"):
            alice.open("MESSAGE", "x", Router=f"x;type={name}").expect(200, Body=name)
        alice.open("MESSAGE", "x", Router="x;type=unloadable").expect(404)
        alice.fence()
        alice.leave()
    finally:
        process.stop()
    written = "".join([*process.tracebacks(), *process.other])
    for trouble in ("no_such_module", "SyntaxError", "can not load"):
        assert trouble in written


def test_an_installation(tmp_path: Path) -> None:
    """A wheel in a virtual environment of its own gives `twistd gortc` in any directory."""

    def python(*arguments: str, **options: Any) -> None:
        ended = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False, **options)
        assert ended.returncode == 0, ended.stdout + ended.stderr

    wheels, home, elsewhere = tmp_path / "wheels", tmp_path / "venv", tmp_path / "elsewhere"
    source = tmp_path / "source"
    source.mkdir()
    for name in ("gortc", "slp_plugins", "twisted"):
        copy_tree(PROJECT / name, source / name)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((PROJECT / name).read_bytes())
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")
    build = (*pip, "wheel", "--no-deps", "-w", str(wheels), str(source))
    python(*build, "--no-build-isolation")  # setuptools builds wheels by itself since 70.1
    (wheel,) = wheels.glob("gortc-*.whl")
    venv.create(home, with_pip=False, symlinks=True)
    (packages,) = home.glob("lib/python*/site-packages")
    python(*pip, "install", "--no-deps", "--target", str(packages), str(wheel))
    # what gortc needs is borrowed from here; files only, so that no .pth of ours leads back to the project
    (packages / "borrowed.pth").write_text(f"{Path(pytest.__file__).parents[1]}\n")
    elsewhere.mkdir()
    start = "import sys; from twisted.scripts.twistd import run; run()"
    command = [str(home / "bin" / "python"), "-P" if sys.version_info >= (3, 11) else "-B", "-c", start]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    said = subprocess.run(
        [*command, "--help"], cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert "call logic over WebSocket" in said.stdout
    where = subprocess.run(
        [*command[:-1], "import gortc, slp_plugins; print(gortc.__file__, slp_plugins.__file__)"],
        cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert str(PROJECT) not in where.stdout
    (elsewhere / "short.tac").write_text(
        BEGIN + f"settings = configure(api='', rtc=('{LOOPBACK}',))\n"
        "from twisted.internet import reactor\nreactor.callLater(0.2, reactor.stop)\n"
    )
    ran = subprocess.run(
        [*command, "-n", "--pidfile=", "gortc", "--config", "short.tac"],
        cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran
    assert "services: conference, default, echo, hunt400" in ran.stdout
    assert "listening on ws://127.0.0.1:" in ran.stdout
    assert "Traceback" not in ran.stdout + ran.stderr


def copy_tree(source: Path, target: Path) -> None:
    """The Python files of a package."""
    for path in source.rglob("*"):
        if path.suffix in (".py", ".typed") and path.is_file():
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
