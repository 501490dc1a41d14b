"""Compiles what every message passes, where asked: GORTC_COMPILE=1 pip install .

The same source, by mypyc; setup.cfg has the rest. Without a word about it an installation is plain Python.
"""

import os
from glob import glob

from setuptools import setup

PLAIN = {"gortc/jsip/__init__.py", "gortc/jsip/times.py", "gortc/jsip/uri.py"}  # attrs makes these classes
HOT = [
    *sorted(set(glob("gortc/jsip/*.py")) - PLAIN),
    "gortc/dispatch.py",
    "gortc/service/bridge.py",
    "gortc/service/call.py",
    "gortc/service/context.py",
    "gortc/service/leg.py",
    "gortc/service/run.py",
    "gortc/service/task.py",
    "gortc/transport/channels.py",
    "gortc/transport/frames.py",
    "gortc/transport/hop.py",
    "gortc/transport/line.py",
    "gortc/transport/window.py",
]
NEEDED = ["mypy >= 1.11", "mypy-zope >= 1.0.5", "types-PyYAML"]
"""To compile; and what gortc itself needs, whose types are looked into."""

if os.environ.get("GORTC_COMPILE") == "1":
    try:
        from mypyc.build import mypycify
    except ImportError:  # pip asks what is needed before it has got it
        needed = ["attrs", "cryptography", "idna", "orjson", "twisted", "websockets", "zope.interface"]
        setup(setup_requires=[*NEEDED, *needed])
    else:
        setup(ext_modules=mypycify(HOT, opt_level="3", debug_level="0", group_name="gortc"))
else:
    setup()
