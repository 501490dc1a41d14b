"""`twistd gortc`: options, configuration files, and the service they make.

`--config` takes the same file as `twistd -ny`: a tac that binds `settings` and `application`. Both ways end in
`make_service`.
"""

from __future__ import annotations

import os
import runpy
import traceback
from functools import partial
from typing import Any, Callable, Sequence

from attrs import evolve
from twisted.application.service import Application, IService
from twisted.python import usage
from twisted.python.components import Componentized

from gortc import reactor
from gortc.admission.admission import AuthError, check
from gortc.admission.interfaces import IAuthenticator
from gortc.plugins import find
from gortc.server import Server
from gortc.service.registry import ServiceError, discover, plan
from gortc.settings import FORMATS, LEVELS, LOOPBACK, NONE, Settings, SettingsError

_reading: list[str] = []
"""The tacs whose settings are being read."""


def configure(**settings: Any) -> Settings:
    """The settings, for a tac. Ends the program with one line where one of them can't be."""
    try:
        return Settings(**settings)
    except SettingsError as error:
        raise SystemExit(f"gortc: {error}") from None
    except TypeError as error:
        raise SystemExit(f"gortc: settings: {error}") from None


def make_service(
    settings: Settings, log_file: str | None = None, reread: Callable[[], Settings] | None = None
) -> IService:
    """The service that runs a node with `settings`, on our reactor; `log_file` and `reread` as in `Server`."""
    reactor.install()
    return Server(settings, log_file=log_file, reread=reread)


def make_application(settings: Settings, file: str | None = None) -> Componentized:
    """The application of a tac. `file` is the tac's own, to be read again at SIGHUP."""
    application: Componentized = Application("gortc")
    if not _reading:  # somebody wants the settings only
        reread = partial(read_config, os.path.abspath(file)) if file is not None else None
        make_service(settings, settings.log_file, reread).setServiceParent(application)
    return application


class Options(usage.Options):
    """The options of `twistd gortc`; each overrides the configuration file."""

    synopsis = "[options]"
    longdesc = "A telecom application server: runs call logic for peers that connect by WebSocket and speak JSIP."
    optParameters = [
        ["realm", None, None, "The node's own domain (default gortc.local)"],
        ["api", None, None, "Where the management API listens (default tcp:2539:interface=127.0.0.1; empty: nowhere)"],
        [
            "api-token-file",
            None,
            None,
            "The file of its tokens; made where there is none (default gortc.token)",
        ],
        ["config", None, None, "A configuration file, such as etc/gortc.tac"],
        ["log-level", None, None, f"The least level logged: {', '.join(LEVELS)} (default info)"],
        ["log-format", None, None, f"How events are written: {', '.join(FORMATS)} (default text)"],
        ["auth", None, None, f"Who says who a peer is: {NONE}, a plugin (default {LOOPBACK}: this machine only)"],
    ]
    optFlags = [
        ["trace", None, "Log each message"],
        ["reload", None, "Load services again when their files are saved, for developers"],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["rtc"] = []
        self.settings = Settings()

    def opt_rtc(self, endpoint: str) -> None:
        """Where to listen, a Twisted endpoint string; may be given again (default tcp:8080:interface=127.0.0.1)"""
        self["rtc"].append(endpoint)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:  # noqa: N802
        """Read the command line. Ends the program with one line where it can't be followed."""
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            raise SystemExit(f"gortc: {error} (see twistd gortc --help)") from None

    def postOptions(self) -> None:  # noqa: N802
        """Make the settings."""
        self.settings = self.read()
        if self["config"]:  # to be read again, wherever we are then
            self["config"] = os.path.abspath(self["config"])
        try:
            plan(discover(), self.settings.services)
            check(self.settings.authenticators, find(IAuthenticator, "authenticator"))
        except (ServiceError, AuthError) as error:
            raise usage.UsageError(str(error)) from None

    def read(self) -> Settings:
        """The settings, as the configuration file and the options say now. Raises UsageError, one line."""
        settings = read_config(self["config"]) if self["config"] else Settings()
        given = {
            "realm": self["realm"],
            "rtc": tuple(self["rtc"]) or None,
            "log_level": self["log-level"],
            "log_format": self["log-format"],
            "auth": self["auth"],
            "api": self["api"],
            "api_token_file": self["api-token-file"],
            "trace": bool(self["trace"]) or None,
            "reload": bool(self["reload"]) or None,
        }
        try:
            settings = evolve(settings, **{name: value for name, value in given.items() if value is not None})
        except SettingsError as error:
            raise usage.UsageError(str(error)) from None
        return settings


def read_config(path: str) -> Settings:
    """The `settings` of a tac. Raises UsageError, one line, where there are none to be had."""
    _reading.append(path)
    try:
        settings = runpy.run_path(path).get("settings")
    except SyntaxError as error:
        raise usage.UsageError(f"config {path}, line {error.lineno}: {error.msg}") from None
    except Exception as error:
        if isinstance(error, OSError) and error.filename == path:
            raise usage.UsageError(f"config {path}: {error.strerror}") from None
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
        where = f", line {lines[-1]}" if lines else ""
        raise usage.UsageError(f"config {path}{where}: {type(error).__name__}: {error}") from None
    finally:
        _reading.pop()
    if not isinstance(settings, Settings):
        raise usage.UsageError(f"config {path} binds no `settings`")
    return settings


def makeService(options: Options) -> IService:  # noqa: N802
    """What twistd calls: the service for its parsed options, with our log unless twistd was told of another."""
    parent: Any = options.parent or {}
    log_file: str | None = options.settings.log_file
    if parent.get("syslog") or parent.get("logger"):
        log_file = None
    elif log_file == "-":
        log_file = parent.get("logfile") or ("-" if parent.get("nodaemon") else "twistd.log")
    return make_service(options.settings, log_file, options.read)
