"""Whether ComfyUI servers can do the jobs of a file, asked before the first is sent."""

from __future__ import annotations

import asyncio
import hashlib

from ....errors import BatchError
from ...jobs.settings import JobFile
from .client import HostClient, HostGone
from .workflow import (
    LATENTS,
    OUTPUTS,
    PICTURE,
    Workflow,
    default_workflow,
    for_host,
    keeps_frames,
    model_values,
    pack_state,
    problems_with_host,
)


def check_hosts(urls: list[str], jobs: JobFile, workflow: Workflow | None) -> str:
    """Ask every host whether it can do the jobs; returns what they have of this pack. Raises BatchError that says
    what which host lacks, or that two of them have different versions of the pack."""
    if workflow is not None and (keeps_frames(jobs.keep) or "latents" in jobs.keep):
        _check_own_outputs(workflow, jobs)
    states = asyncio.run(_ask_all(urls, jobs, workflow))
    first = states[urls[0]]
    for url, state in states.items():
        if state != first:
            raise BatchError(
                f"{urls[0]} and {url} have different versions of the MatrixGame nodes; update one of them, so that "
                "every job is made in the same way."
            )
    return hashlib.sha256(first.encode()).hexdigest()[:16]


async def _ask_all(urls: list[str], jobs: JobFile, workflow: Workflow | None) -> dict[str, str]:
    async def ask(url: str) -> str:
        async with HostClient(url) as client:
            try:
                info = await client.node_info()
            except HostGone as error:
                raise BatchError(str(error)) from None
        clips = {bool(total.clip) for total in jobs.totals()}
        problems: list[str] = []
        for variant in jobs.variants:
            values = model_values(jobs, variant)
            for clip in clips:
                asked = workflow or for_host(default_workflow(jobs, clip, jobs.keep), info)
                problems += problems_with_host(asked, info, values)
        if problems:
            raise BatchError(f"{url} cannot do these jobs: {'; '.join(dict.fromkeys(problems))}.")
        return pack_state(info)

    return dict(zip(urls, await asyncio.gather(*(ask(url) for url in urls)), strict=True))


def _check_own_outputs(workflow: Workflow, jobs: JobFile) -> None:
    kinds = {OUTPUTS.get(node["class_type"]) for node in workflow.values()}
    needed = {"PreviewImage": keeps_frames(jobs.keep) and PICTURE, "SaveLatent": "latents" in jobs.keep and LATENTS}
    for node, kind in needed.items():
        if kind and kind not in kinds:
            raise BatchError(f"To keep {', '.join(jobs.keep)}, the workflow needs a {node} node.")
