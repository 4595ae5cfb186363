"""The modules of web/ in Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

WEB = HERE.parents[2] / "web"

NODE = shutil.which("node")


def in_node(code: str, text: str = "") -> Any:
    """The JSON that a module prints; it gets web/ as its argument, and `text` on its input."""
    assert NODE is not None
    command = [NODE, "--input-type=module", "-e", code, str(WEB)]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)
