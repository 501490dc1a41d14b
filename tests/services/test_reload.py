"""Services that are loaded, replaced and removed while calls run."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import slp_plugins
from gortc.loader import Loader
from gortc.oam.management import SERVICES
from gortc.plugins import PluginError
from gortc.settings import Settings
from gortc.state import State
from gortc.testing import Lab, Talk
from gortc.watch import Watch

GREETER = """
from gortc import service

GREETING = {greeting!r}
{more}

@service("greeter", lambda context: context.shared.setdefault("greeting", GREETING))
async def greeter(call):
    await call.caller.answer(GREETING)
    async for request in call.caller.requests:
        call.caller.reply(request, 200, GREETING)
"""


class Shop:
    """A lab whose plugins are files."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.state = folder / "gortc.state"
        self.lab = Lab()
        self.lab.node.settings = Settings(**settings)
        self.loader = Loader(
            SERVICES, self.lab.node.services, State(str(self.state)), lambda: self.lab.node.settings.services
        )

    def save(self, greeting: str, name: str = "greeter", more: str = "") -> None:
        """A version of the plugin's file."""
        (self.folder / f"{name}.py").write_text(GREETER.format(greeting=greeting, more=more))

    def call(self, name: str, dialogue: str = "d") -> Talk:
        """Somebody calls it, and is answered."""
        return self.lab.user(name).call("greeter", DialogueID=dialogue, Router="gortc.local;type=greeter")

    def rows(self) -> list[tuple[str, bool, int]]:
        """What is loaded."""
        return [(context.name, context.is_retired, len(context.tasks)) for context in self.lab.node.services]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """One."""
    monkeypatch.setattr(slp_plugins, "__path__", [*slp_plugins.__path__, str(tmp_path)])
    known = set(sys.modules)
    yield Shop(tmp_path)
    for name in set(sys.modules) - known:
        if name.startswith("slp_plugins."):
            del sys.modules[name]
            if name.count(".") == 1:
                delattr(slp_plugins, name.partition(".")[2])


def test_new_sessions_get_the_new_code_and_running_ones_finish_on_the_old(shop: Shop) -> None:
    shop.save("hello")
    first = shop.loader.load("greeter")
    alice = shop.call("alice")
    alice.expect(200, Body="hello")
    alice.ack()
    shop.save("good-bye"[:5])  # of the same size, within the same second
    second = shop.loader.load("greeter")
    assert second.version != first.version
    assert shop.rows() == [("greeter", False, 0), ("greeter", True, 1)]
    bob = shop.call("bob")
    bob.expect(200, Body="good-")
    bob.ack()
    alice.send("INFO")
    alice.expect(200, Body="hello")
    alice.bye()
    alice.expect(200)
    shop.lab.advance()
    assert shop.rows() == [("greeter", False, 1)]
    assert shop.lab.node.services.past == {"greeter": (1, 0)}
    bob.bye()
    bob.expect(200)
    shop.lab.check_empty()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("def broken(:", r"greeter\.py, line 5: "),
        ("1 / 0", r"greeter\.py, line 5: ZeroDivisionError: division by zero"),
        ("import sys; sys.exit('no')", r"greeter\.py, line 5: SystemExit: no"),
        ("del service", r"greeter\.py, line 7: NameError: "),
        ("service = lambda *_: lambda logic: None", "has no service named 'greeter'"),
        ("GREETING = {}['nothing']", "KeyError: 'nothing'"),
    ],
)
def test_what_can_not_be_loaded_leaves_the_old_one_in_charge(shop: Shop, more: str, why: str) -> None:
    shop.save("hello")
    shop.loader.load("greeter")
    module = sys.modules["slp_plugins.greeter"]
    shop.save("bye", more=more)
    with pytest.raises(PluginError, match=why):
        shop.loader.load("greeter")
    assert sys.modules["slp_plugins.greeter"] is module
    assert slp_plugins.greeter is module  # type: ignore[attr-defined]
    shop.call("alice").expect(200, Body="hello")
    assert not shop.state.exists()


def test_a_load_that_raises_leaves_the_old_one_in_charge(shop: Shop) -> None:
    shop.save("hello")
    shop.loader.load("greeter")
    (shop.folder / "greeter.py").write_text(
        GREETER.format(greeting="bye", more="").replace('setdefault("greeting", GREETING)', "nothing()")
    )
    with pytest.raises(PluginError, match=r"greeter\.py, line 7: AttributeError: 'dict' object has no attribute"):
        shop.loader.load("greeter")
    shop.call("alice").expect(200, Body="hello")


@pytest.mark.parametrize("what", ["OSError('away')", "SystemExit('no')", "FileNotFoundError(2, 'gone', 'x.conf')"])
def test_whatever_a_load_raises_is_told(shop: Shop, what: str) -> None:
    shop.save("hello")
    shop.loader.load("greeter")
    text = GREETER.format(greeting="bye", more="").replace(
        'setdefault("greeting", GREETING)', f"update(); raise_({what})"
    )
    text = text.replace("lambda context: context.shared.update(); raise_(", "lambda context: raise_(")
    text = "def raise_(error):\n    raise error\n" + text
    (shop.folder / "greeter.py").write_text(text)
    with pytest.raises(PluginError, match=rf"greeter: greeter\.py, line 2: {what.partition('(')[0]}: .*(away|no|gone)"):
        shop.loader.load("greeter")
    shop.call("alice").expect(200, Body="hello")


@pytest.mark.parametrize("name", ["", "../greeter", "a/b", "a b", "x" * 65, "slp_plugins.greeter "])
def test_names_that_can_not_be(shop: Shop, name: str) -> None:
    shop.save("hello")
    with pytest.raises(PluginError, match="can't be named" if name else "no service is named"):
        shop.loader.load(name, "greeter" if name else None)


@pytest.mark.parametrize("plugin", ["../greeter", "/etc/passwd", "nothing", "slp_plugins/echo.py", "echo.py"])
def test_a_plugin_is_a_name_and_never_a_path(shop: Shop, plugin: str) -> None:
    shop.save("hello")
    with pytest.raises(PluginError, match="no service is named"):
        shop.loader.load("greeter", plugin)


def test_a_second_name_for_a_plugin(shop: Shop) -> None:
    shop.save("hello")
    shop.loader.load("greeter")
    shop.loader.load("sales", "greeter")
    assert json.loads(shop.state.read_text()) == {"services": {"sales": "greeter"}}
    shop.loader.remove("sales")
    assert not shop.state.exists()


def test_what_is_removed_takes_no_new_sessions(shop: Shop) -> None:
    shop.save("hello")
    shop.loader.load("greeter")
    alice = shop.call("alice")
    alice.expect(200, Body="hello")
    alice.ack()
    shop.loader.remove("greeter")
    shop.call("bob").expect(404, Reason="no service is loaded as 'greeter'")
    alice.send("INFO")
    alice.expect(200, Body="hello")
    alice.bye()
    alice.expect(200)
    shop.lab.advance()
    assert shop.rows() == []
    with pytest.raises(KeyError):
        shop.loader.remove("greeter")


def test_a_restart_finds_it_as_it_was_left(shop: Shop) -> None:
    shop.save("hello")
    shop.loader.load("greeter")
    shop.loader.load("sales", "greeter")
    shop.loader.remove("greeter")
    again = Shop(shop.folder)
    again.loader.start()
    loaded = again.lab.node.services.loaded
    assert "greeter" not in loaded
    assert loaded["sales"].logic.name == "greeter"
    assert {"default", "echo"} <= set(loaded)
    again.loader.load("greeter")
    again.loader.remove("sales")
    assert not again.state.exists()


def test_a_plugin_that_has_gone_is_logged_and_the_others_are_loaded(shop: Shop, caplog: Any) -> None:
    shop.state.write_text('{"services": {"sales": "nothing", "gone": null, "echo": null}}')
    again = Shop(shop.folder)
    again.loader.start()
    assert {"sales", "gone", "echo"}.isdisjoint(again.lab.node.services.loaded)
    assert "default" in again.lab.node.services.loaded


def test_the_configuration_stays_with_the_name(tmp_path: Path, shop: Shop) -> None:
    configured = Shop(tmp_path, services={"greeter": {"colour": "red"}})
    configured.save("hello")
    assert configured.loader.load("greeter").config == {"colour": "red"}
    assert configured.loader.load("greeter").config == {"colour": "red"}
    assert not configured.state.exists()


def test_a_package_is_renewed_as_a_whole(shop: Shop) -> None:
    package = shop.folder / "shop_package"
    package.mkdir()
    (package / "words.py").write_text("GREETING = 'one'")
    text = GREETER.format(greeting="", more="from slp_plugins.shop_package.words import GREETING")
    (package / "__init__.py").write_text(text)
    shop.loader.load("greeter", "shop_package")
    (package / "words.py").write_text("GREETING = 'two and more'")
    shop.loader.load("greeter")
    shop.call("alice").expect(200, Body="two and more")


def test_instances_end_with_the_node_whatever_code_they_run_on(shop: Shop) -> None:
    shop.save("hello")
    shop.loader.load("greeter")
    alice = shop.call("alice")
    alice.expect(200)
    alice.ack()
    shop.loader.load("greeter")
    shop.lab.node.stop()
    alice.expect("BYE")
    shop.lab.advance()
    assert shop.rows() == []


def test_a_service_that_has_gone_starts_nothing(shop: Shop) -> None:
    shop.save("hello")
    context = shop.loader.load("greeter")
    shop.loader.remove("greeter")
    shop.lab.advance()
    with pytest.raises(RuntimeError, match="the service greeter has gone"):
        context.start()


@pytest.mark.parametrize("text", ["", "[]", '{"services": []}', '{"services": {"a": 1}}', "{"])
def test_a_state_that_can_not_be_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state"
    path.write_text(text)
    with pytest.raises(ValueError, match=str(path)):
        State(str(path))


def test_what_is_saved_is_loaded(shop: Shop) -> None:
    """Watch mode: a new file, a change, a mistake, its correction, a package's module."""
    watch = Watch([shop.loader], shop.lab.clock)
    watch.start()
    shop.save("one")
    shop.lab.advance(0.5)
    shop.call("alice", "1").expect(200, Body="one")
    shop.save("two")
    shop.lab.advance(0.5)
    shop.call("alice", "2").expect(200, Body="two")
    shop.save("three", more="1 / 0")
    shop.lab.advance(0.5)
    shop.call("alice", "3").expect(200, Body="two")
    shop.save("four!")
    shop.lab.advance(0.5)
    shop.call("alice", "4").expect(200, Body="four!")
    (shop.folder / "greeter.py").unlink()
    shop.lab.advance(0.5)
    shop.call("alice", "5").expect(200, Body="four!")
    watch.stop()
    shop.save("five")
    shop.lab.advance(5)
    shop.call("alice", "6").expect(200, Body="four!")


def test_what_the_settings_do_not_want_is_not_loaded_by_saving_it(shop: Shop) -> None:
    shop.lab.node.settings = Settings(services={"greeter": None})
    watch = Watch([shop.loader], shop.lab.clock)
    watch.start()
    shop.save("one")
    shop.lab.advance(0.5)
    assert shop.rows() == []
    watch.stop()


def test_what_a_module_has_imported_from_another_is_not_its_own(shop: Shop) -> None:
    shop.save("hello")
    shop.loader.load("greeter")
    (shop.folder / "another.py").write_text("from slp_plugins.greeter import greeter\n")
    importlib.import_module("slp_plugins.another")
    shop.save("good-bye")
    shop.loader.load("greeter")
    shop.call("alice").expect(200, Body="good-bye")
    with pytest.raises(PluginError, match="another has no service named 'another'"):
        shop.loader.load("another")


def test_a_state_that_can_not_be_written_is_logged_and_the_service_is_loaded(shop: Shop) -> None:
    shop.save("hello")
    (shop.folder / "gortc.state.new").mkdir()
    shop.loader.load("sales", "greeter")
    assert "sales" in shop.lab.node.services.loaded
    assert not shop.state.exists()
