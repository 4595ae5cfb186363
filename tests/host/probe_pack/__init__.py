"""A node pack for tests only: a node with the timeline widget that shows the rows which reach Python, and a route that
says how long Live Play waits for a lost player."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from aiohttp import web
from comfy_api.latest import ComfyExtension, io
from server import PromptServer

sys.path.append(str(Path(__file__).resolve().parents[3]))

from comfyui_matrixgame.actions.document import Timeline
from comfyui_matrixgame.actions.script.read_script import parse_script
from comfyui_matrixgame.actions.track import ActionTrack
from comfyui_matrixgame.errors import MatrixGameError


def _read(variant: str, timeline: str) -> ActionTrack:
    if timeline.lstrip().startswith("{"):
        return Timeline.from_text(timeline).track()
    return parse_script(timeline, variant).track


class TimelineHostProbe(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TimelineHostProbe",
            display_name="Timeline Probe",
            category="MatrixGame",
            inputs=[
                io.Combo.Input("variant", options=["universal", "gta_drive", "templerun"]),
                io.String.Input("timeline", default="", extra_dict={"widgetType": "MATRIXGAME_TIMELINE"}),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, variant: str, timeline: str) -> bool | str:
        try:
            _read(variant, timeline)
        except MatrixGameError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, variant: str, timeline: str) -> io.NodeOutput:
        track = _read(variant, timeline)
        mouse = None if track.mouse is None else track.mouse.tolist()
        return io.NodeOutput(ui={"rows": [json.dumps({"keyboard": track.keyboard.tolist(), "mouse": mouse})]})


@PromptServer.instance.routes.post("/probe/lost")
async def _wait_for_the_lost(request: web.Request) -> web.Response:
    pack = next(module for name, module in sys.modules.items() if name.endswith(".comfyui_matrixgame.host"))
    pack.live_play.LOST_SECONDS = (await request.json())["seconds"]
    return web.json_response({})


class ProbeExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [TimelineHostProbe]


async def comfy_entrypoint() -> ProbeExtension:
    return ProbeExtension()
