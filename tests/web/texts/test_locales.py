"""locales/en is what script/locales writes, and locales/zh speaks of the same nodes, inputs and outputs."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
CONTRACT = ROOT / "tests" / "host" / "object_info.json"


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def shape(texts: Any) -> Any:
    return {key: shape(value) for key, value in texts.items()} if isinstance(texts, dict) else bool(texts)


def test_english_is_that_of_the_nodes() -> None:
    english = runpy.run_path(str(ROOT / "script" / "locales"))["english"](read(CONTRACT))
    assert read(ROOT / "locales" / "en" / "nodeDefs.json") == english, "stale: run python3 script/locales"


def test_chinese_is_complete() -> None:
    english, chinese = (read(ROOT / "locales" / language / "nodeDefs.json") for language in ("en", "zh"))
    assert shape(chinese) == shape(english)
