"""While a prompt is checked: the other inputs of the node whose input is looked at.

Core writes down what `validate_inputs` answers once for each of its arguments, so that a function of two tells one
mistake twice. Ours take one argument, the one that the mistake is shown at; the others are found here.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from comfy_execution.utils import get_executing_context
from server import PromptServer

_prompt: ContextVar[Mapping[str, Any]] = ContextVar("matrixgame_prompt")  # of the request that is being answered


def watch_prompts() -> None:
    """Look at every prompt before it is checked; once, before the server starts."""
    PromptServer.instance.add_on_prompt_handler(_remember)


def other_input(name: str) -> Any:
    """The value of an input of the node that is being checked; None where it is linked, or not known."""
    context = get_executing_context()
    node = None if context is None else _prompt.get({}).get(context.node_id)
    value = node["inputs"].get(name) if isinstance(node, dict) and isinstance(node.get("inputs"), dict) else None
    return None if isinstance(value, (list, dict)) else value


def _remember(message: dict[str, Any]) -> dict[str, Any]:
    prompt = message.get("prompt")
    _prompt.set(prompt if isinstance(prompt, dict) else {})
    return message
