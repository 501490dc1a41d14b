"""What is in etc/ is what it says it is."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ETC = ROOT / "etc"
DOCKERFILE = (ETC / "Dockerfile").read_text()
PINNED = re.compile(r"([a-z0-9-]+)==([^ ;\\]+)(?: ; [^\\]+)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\\n|\n|\Z))+)")


def pinned(file: str) -> dict[str, str]:
    """The packages of a file of requirements, which has nothing but versions with their hashes."""
    text = (ETC / file).read_text().partition("\n")[2]
    assert PINNED.sub("", text).strip() == ""
    return {match[1]: match[2] for match in PINNED.finditer(text)}


def wanted() -> set[str]:
    """What gortc needs with the extras that the image has."""
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    extras = config["options.extras_require"]
    lines = "\n".join([config["options"]["install_requires"], *(extras[name] for name in ("auth", "fast", "tls"))])
    return {re.split(r"[ \[>]", line)[0].lower().replace(".", "-") for line in lines.split("\n") if line}


def test_the_image_has_what_gortc_needs_and_nothing_by_name_alone() -> None:
    assert wanted() <= pinned("requirements.txt").keys()
    assert {"mypy", "mypy-zope", "setuptools", "types-pyyaml"} <= pinned("requirements-build.txt").keys()
    commands = re.split(r"&&|\n", DOCKERFILE.replace("\\\n", " "))
    installs = [command for command in commands if re.search(r"pip (install|wheel) ", command)]
    assert len(installs) == 4
    assert [one for one in installs if "--require-hashes" not in one and "--no-index" not in one] == []


def test_the_image_begins_with_one_version_and_ends_as_no_root() -> None:
    (base,) = re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE, re.M)
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-[a-z]+", base)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.M)) == {"$BASE"}
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    (user,) = re.findall(r"^USER (\d+):\d+$", last, re.M)
    assert int(user) > 0
    assert f"--uid {user}" in last
    assert "--shell /usr/sbin/nologin" in last
    assert not re.search(r"^(CMD|ENTRYPOINT|HEALTHCHECK[^\n]*\\\n +CMD) [^\[]", last, re.M)  # no shell runs any


@pytest.mark.parametrize("folder", ["/var/lib/gortc", "/var/log/gortc", "/run/gortc", "/etc/gortc"])
def test_the_unit_has_the_folders_that_are_spoken_of(folder: str) -> None:
    unit = (ETC / "gortc.service").read_text()
    kind = {"lib": "StateDirectory", "log": "LogsDirectory", "run": "RuntimeDirectory", "etc": "ConfigurationDirectory"}
    assert f"\n{kind[folder.split('/')[-2]]}=gortc\n" in unit
    assert folder in unit + (ETC / "logrotate").read_text()
