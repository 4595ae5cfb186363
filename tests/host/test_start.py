"""The pack loads in a real ComfyUI, whole and quietly."""

from __future__ import annotations

from .server import Host


def test_nodes_load_and_log_is_clean(host: Host) -> None:
    log = host.log()
    assert "IMPORT FAILED" not in log, log
    assert "Traceback" not in log, log
    assert "comfy_entrypoint" not in log, log
