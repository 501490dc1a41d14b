"""The API is as its own description says: schemathesis asks for all that it names, in ways nobody has thought of."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wire.api import Api, started
from tests.wire.kit import PUPPET, Peer, ended_well, plugin_folder


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """A server with a call that goes on."""
    made = started(plugin_folder(tmp_path, puppet=PUPPET))
    alice = Peer(made.node, "alice")
    talk = alice.open("INVITE", "echo", Router="gortc.test;type=echo", DialogueID="known")
    talk.expect(180)
    talk.expect(200)
    talk.ack()
    yield made
    ended_well(made.process)


def test_it_is_as_it_says(api: Api) -> None:
    """But for draining, which ends the server. A file that is none is refused, though any name looks as good as
    another: that check is left out."""
    program = str(Path(sys.executable).with_name("schemathesis"))
    command = [program, "run", f"http://127.0.0.1:{api.port}/openapi.json", "--no-color"]
    command += ["--header", f"Authorization: Bearer {api.token}", "--max-examples", "20", "--seed", "1"]
    command += ["--exclude-path", "/runtime/v1/drain", "--exclude-checks", "positive_data_acceptance"]
    run = subprocess.run(command, cwd=api.folder, capture_output=True, text=True, timeout=600, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    found = re.search(r"Selected: (\d+)/(\d+)\n +Tested: (\d+)\n", run.stdout)
    assert found is not None, run.stdout
    selected, all_of_them, tested = map(int, found.groups())
    assert (selected, tested) == (all_of_them - 3, selected)
    assert tested > 30


def test_every_operation_answers(api: Api) -> None:
    """Each one by its plainest request, without a token as well."""
    described = api.get("/openapi.json")
    asked = 0
    for path, operations in described["paths"].items():
        plain = path.replace("{dialogue}", "known").replace("{name}", "alice@gortc.test")
        for method, operation in operations.items():
            if (path, method) == ("/runtime/v1/drain", "post"):
                continue
            asked += 1
            assert api.ask(method.upper(), plain, None)[0] == (401 if operation["security"] else 200)
            status, answer, headers = api.ask(method.upper(), plain)
            assert status < 500, (method, path, answer)
            kind = headers["Content-Type"].partition(";")[0]
            assert kind in (*operation["responses"]["200"]["content"], "application/json")
    assert asked > 30
