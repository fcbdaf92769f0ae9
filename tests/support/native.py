"""The extension of this tree, built again if its C files have changed: tests of what it was would prove nothing.

This happens on import, in the first process of a test run, before anything imports wasihost.
"""

from __future__ import annotations

import os
import subprocess
import sys

import hatch_build

if "PYTEST_XDIST_WORKER" not in os.environ and not os.environ.get("WASIHOST_PURE") and not hatch_build.is_current():
    subprocess.run([sys.executable, hatch_build.__file__], check=True)
