"""What the pack uses of ComfyUI is there in the host at hand; `script/test --host PATH -k symbols` asks another one."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

from ..conftest import skip_or_fail
from .browser import RENDERERS, open_page
from .server import PACK, Host, run_in_core, why_no_host

USED = json.loads(Path(__file__).with_name("used_of_host.json").read_text(encoding="utf-8"))
MISSING = """
import asyncio, importlib, inspect, json
import app.frontend_management, execution, nodes, server
loop = asyncio.new_event_loop()
server.PromptServer(loop)
execution.PromptQueue(server.PromptServer.instance)
server.PromptServer.instance.client_id = None  # what the first page sets

def find(name):
    module, colon, rest = name.partition(":")
    if colon:
        found, parts = importlib.import_module(module), rest.split(".")
    else:
        parts, found = name.split("."), None
        for count in range(len(parts), 0, -1):  # the longest part of the name that is a module
            try:
                found = importlib.import_module(".".join(parts[:count]))
            except ModuleNotFoundError:
                continue
            parts = parts[count:]
            break
        if found is None:
            raise AttributeError(f"no module {name}")
    for part in parts:
        found = getattr(found, part)
    return found

def fault(name, calls):
    try:
        found = find(name)
    except (AttributeError, ImportError) as error:
        return str(error)
    for call in filter(None, calls):
        count, *words = call.split(", ")
        try:
            inspect.signature(found).bind(*[None] * int(count), **dict.fromkeys(words))
        except TypeError as error:
            return f"cannot be called with {call}: {error}"
        except ValueError:
            pass  # written in C, without a signature

print(json.dumps({name: said for name, calls in json.loads(used).items() if (said := fault(name, calls))}))
"""
ABSENT = """(chains) => chains.filter((chain) => {
  const parts = chain.split('.'), roots = { app: window.app, api: window.comfyAPI.api.api };
  let found = roots[parts.shift()];
  for (const part of parts) {
    if (found === null || found === undefined || !(part in Object(found))) return true;
    found = found[part];
  }
  return false;
})"""


def missing(core: dict[str, Any], base: Path) -> dict[str, str]:
    """Symbol -> what is wrong with it in the core at hand."""
    return json.loads(run_in_core(MISSING, base, used=json.dumps(core)).splitlines()[-1])


def test_the_file_is_that_of_the_code() -> None:
    """python3 script/host_symbols writes it."""
    assert runpy.run_path(str(PACK / "script" / "host_symbols"))["used"]() == USED


def test_core_has_all_that_we_use_and_is_called_as_it_wants(tmp_path: Path) -> None:
    skip_or_fail(why_no_host())
    gone = {"comfy.model_management.no_such_name": [], "folder_paths.get_full_path": ["1, no_such_argument"]}
    said = missing(USED["core"] | gone, tmp_path)
    assert said.keys() == gone.keys(), said


def test_the_frontend_has_all_that_we_call(browser: Any, page_host: Host) -> None:
    with open_page(browser, page_host, RENDERERS["canvas"]) as page:
        assert page.evaluate(ABSENT, [*USED["frontend"], "app.no.such"]) == ["app.no.such"]
        script = page.evaluate("async () => (await fetch('/scripts/app.js')).ok && (await fetch('/scripts/api.js')).ok")
        assert script
