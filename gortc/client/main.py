"""gortc-ua: users of a server, without a phone.

`play` plays scenarios, `load` plays one many times, `call` is a phone in the terminal, `ladder` draws a saved trace.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from gortc import __version__

COMMANDS = {
    "play": "gortc.client.play",
    "load": "gortc.client.load",
    "call": "gortc.client.call",
    "ladder": "gortc.client.trace",
}
"""The command -> its module: `arguments` tells what it takes, `run` does it and returns the exit status."""


def main(argv: Sequence[str] | None = None) -> int:
    """The program. Exit status: 0 all went well, 1 something did not, 2 it can't be done as it was asked."""
    parser = argparse.ArgumentParser("gortc-ua", description="Users of a gortc server, without a phone.")
    parser.add_argument("--version", action="version", version=f"gortc-ua {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, path in COMMANDS.items():
        module = import_module(path)
        text = (module.__doc__ or "").partition("\n\n")[0]
        command = commands.add_parser(
            name, help=text, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.arguments(command)
        command.set_defaults(run=module.run)
    options = parser.parse_args(argv)
    status: int = options.run(options)
    return status


if __name__ == "__main__":
    sys.exit(main())
