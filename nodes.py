"""The nodes: inputs in, one call, outputs out. All else that touches ComfyUI is in `comfyui_matrixgame/host`."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import ComfyExtension, io, ui

from .comfyui_matrixgame import host
from .comfyui_matrixgame.actions import MAX_SEED
from .comfyui_matrixgame.actions.drawing import POSITIONS, STYLES
from .comfyui_matrixgame.compute.choices import EXACT, PRECISIONS, SEEN
from .comfyui_matrixgame.host import choices, routes
from .comfyui_matrixgame.host.running import checking
from .comfyui_matrixgame.host.running.graph import IMAGE_CHOICES, wanted_outputs
from .comfyui_matrixgame.host.running.variants import variant_choices
from .comfyui_matrixgame.play import MODES
from .comfyui_matrixgame.variants import MOST_WINDOW, NEWEST, SAME_VIEW, default_variant

HEIGHT, WIDTH = default_variant().size
CATEGORY = "MatrixGame"
MOST_PICTURES = 36  # of a gallery
Actions = io.Custom("MATRIXGAME_ACTIONS")
World = io.Custom("MATRIXGAME_WORLD")
Vae = io.Custom("MATRIXGAME_VAE")
Cache = io.Custom("MATRIXGAME_CACHE")

FIRST_SCRIPT = """# keys and camera, one step per line: what is held, for how long
w            1s
w+right(0.1) 1s
w            12f
"""

FIRST_PATHS = """--- walk
w 2s
--- look around
w+right(0.1) 1s
w+left(0.1) 1s
"""


def _variant_input() -> io.Combo.Input:
    return io.Combo.Input(
        "variant",
        options=variant_choices(),
        tooltip="The game the inputs are for; it must be that of the generator they will steer.",
    )


def _seed_input(what: str) -> io.Int.Input:
    return io.Int.Input(
        "seed",
        default=0,
        min=0,
        max=0xFFFF_FFFF_FFFF_FFFF,
        control_after_generate=io.ControlAfterGenerate.fixed,
        tooltip=what,
    )


def _side_input(name: str) -> io.Int.Input:
    return io.Int.Input(
        name,
        default=0,
        min=0,
        max=2048,
        step=16,
        advanced=True,
        tooltip=f"The frames' {name} in pixels. 0 takes the size the generator was trained at, which is best: "
        f"{WIDTH} x {HEIGHT} for the published weights.",
    )


class LoadGenerator(io.ComfyNode):
    """See web/docs/MatrixGameLoadGenerator.md."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MatrixGameLoadGenerator",
            display_name="Load Matrix-Game Generator",
            category=CATEGORY,
            description="Loads the network of one game variant. LoRA loaders fit behind it; Start World takes it.",
            search_aliases=["matrix game", "world model", "game generator", "interactive video", "load world model"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=choices.generator_choices(),
                    tooltip="A Matrix-Game 2.0 file in models/diffusion_models, or the small demo world that comes "
                    "with the nodes. The variant is read from the file.",
                ),
                io.Combo.Input(
                    "dtype",
                    options=list(choices.DTYPE_CHOICES),
                    default="auto",
                    advanced=True,
                    tooltip="The number format the weights are kept in. auto: as in the file, float32 as bfloat16. "
                    "float8 halves the memory once more.",
                ),
                io.Combo.Input(
                    "attention",
                    options=list(choices.ATTENTION_CHOICES),
                    default="auto",
                    advanced=True,
                    tooltip="The attention kernels. auto: PyTorch's own, or those ComfyUI was started with "
                    "(--use-sage-attention and so on). flash2, flash3 and sage need their packages and a CUDA device.",
                ),
                io.Combo.Input(
                    "precision",
                    options=list(PRECISIONS),
                    default=EXACT,
                    optional=True,
                    advanced=True,
                    tooltip="How exactly the network computes. exact: every number as published. fp8 (RTX 40 series "
                    "and newer) and int8 compute the large layers in 8 bits: faster, with other frames. A world goes "
                    "on only in the mode it was made in.",
                ),
                io.String.Input(
                    "steps",
                    default="",
                    optional=True,
                    advanced=True,
                    tooltip="To try: denoising steps as places of 1000, falling, such as 1000,750,500,250. Empty: "
                    "those that the variant was trained with. Others make another rollout.",
                ),
                io.Int.Input(
                    "window",
                    default=0,
                    min=0,
                    max=MOST_WINDOW,
                    optional=True,
                    advanced=True,
                    tooltip="To try: latent frames that a block sees, its own 3 and the sink included. 0: as the "
                    "variant was trained. More may keep a scene longer; each costs memory and time.",
                ),
                io.Int.Input(
                    "sink",
                    default=-1,
                    min=-1,
                    max=MOST_WINDOW,
                    optional=True,
                    advanced=True,
                    tooltip="To try: latent frames of the world's start that never leave the window. -1: as the "
                    "variant was trained.",
                ),
                io.Combo.Input(
                    "variant",
                    options=[choices.AUTO, *variant_choices()],
                    default=choices.AUTO,
                    optional=True,
                    advanced=True,
                    tooltip="What the generator runs as. auto: as its file is described or, without that, as its "
                    "keys and camera say. Another one must have the same keys and camera.",
                ),
                io.Combo.Input(
                    "keeps",
                    options=[NEWEST, SAME_VIEW],
                    default=NEWEST,
                    optional=True,
                    advanced=True,
                    tooltip="To try: what stays in the window. newest: the last blocks, as published. same_view: the "
                    "oldest block while the view does not change, which drifts far less where the camera stands "
                    "still; it needs a window of 9 or more.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="The generator, for Start World and Load World.")],
        )

    @classmethod
    def fingerprint_inputs(cls, file: str | None = None, **_: Any) -> str:
        return host.loaders.load_generator.generator_state(file)

    @classmethod
    def validate_inputs(cls, steps: str | None = "") -> bool | str:
        return host.loaders.load_generator.problem_with_steps(steps) or True

    @classmethod
    def execute(
        cls,
        file: str,
        dtype: str,
        attention: str,
        precision: str = EXACT,
        steps: str = "",
        window: int = 0,
        sink: int = -1,
        variant: str = choices.AUTO,
        keeps: str = NEWEST,
    ) -> io.NodeOutput:
        loader = host.loaders.load_generator
        model = loader.load_generator(file, dtype, attention, precision, steps, window, sink, variant, keeps)
        return io.NodeOutput(model, ui=loader.generator_note(model, file))


class LoadLora(io.ComfyNode):
    """See web/docs/MatrixGameLoadLora.md."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MatrixGameLoadLora",
            display_name="Load Matrix-Game LoRA",
            category=CATEGORY,
            description="Puts a LoRA on a generator, whatever names its tensors have, with its denoising steps.",
            search_aliases=["matrix game lora", "load lora", "distilled lora", "few steps"],
            inputs=[
                io.Model.Input("model", tooltip="The generator, from Load Matrix-Game Generator or another LoRA."),
                io.Combo.Input(
                    "file",
                    options=choices.lora_choices(),
                    tooltip="A LoRA in models/loras that was trained for this generator. Each of its tensors must "
                    "belong to it.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=-100.0,
                    max=100.0,
                    step=0.01,
                    tooltip="How strongly it changes the weights; 0 leaves it out, with its steps.",
                ),
                io.Boolean.Input(
                    "bypass",
                    default=False,
                    advanced=True,
                    tooltip="Compute it beside the weights instead of merging it into them: slower, and closer where "
                    "weights are kept in 8 bits.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="The generator with the LoRA.")],
        )

    @classmethod
    def fingerprint_inputs(cls, file: str, **_: Any) -> str:
        return host.loaders.load_lora.lora_state(file)

    @classmethod
    def execute(cls, model: Any, file: str, strength: float, bypass: bool) -> io.NodeOutput:
        patched = host.loaders.load_lora.load_lora(model, file, strength, bypass)
        return io.NodeOutput(patched, ui=host.loaders.load_lora.lora_note(patched))


class LoadVAE(io.ComfyNode):
    """See web/docs/MatrixGameLoadVAE.md."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MatrixGameLoadVAE",
            display_name="Load Matrix-Game VAE",
            category=CATEGORY,
            description="Loads the Wan 2.1 VAE that turns the start image into latents and latents into frames, "
            "streaming; optionally with a tiny decoder, which is many times faster and a little softer.",
            search_aliases=["matrix game vae", "wan vae", "tiny decoder", "taehv", "taew2_1"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=choices.vae_choices(),
                    tooltip="wan_2.1_vae.safetensors (or Wan2.1_VAE.pth) in models/vae; for the demo world's "
                    "generator, the demo world's own.",
                ),
                io.Combo.Input(
                    "decoder",
                    options=choices.decoder_choices(),
                    default=choices.FULL_DECODER,
                    tooltip="What turns latents into frames. full: the VAE's own decoder. taew2_1 and lighttaew2_1 in "
                    "models/vae_approx change the look a little and never the world.",
                ),
                io.Combo.Input(
                    "dtype",
                    options=list(choices.VAE_DTYPE_CHOICES),
                    default="auto",
                    advanced=True,
                    tooltip="The number format the weights are kept in. auto: as in the file, float32 as bfloat16.",
                ),
            ],
            outputs=[Vae.Output(display_name="vae", tooltip="The VAE, for Start World and Load World.")],
        )

    @classmethod
    def execute(cls, file: str, decoder: str, dtype: str) -> io.NodeOutput:
        return io.NodeOutput(host.loaders.load_vae.load_vae(file, decoder, dtype))


class ActionTimeline(io.ComfyNode):
    """See web/docs/MatrixGameActionTimeline.md."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MatrixGameActionTimeline",
            display_name="Action Timeline",
            category=CATEGORY,
            description="What the player does, frame by frame: keys held and how the camera turns, on a timeline or "
            "as text.",
            search_aliases=[
                "Matrix-Game Inputs",
                "matrix game actions",
                "timeline",
                "keyboard",
                "camera path",
                "wasd",
                "script",
                "controls",
            ],
            inputs=[
                _variant_input(),
                io.String.Input(
                    "script",
                    multiline=True,
                    extra_dict={"widgetType": "MATRIXGAME_TIMELINE"},
                    default=FIRST_SCRIPT,
                    tooltip="A timeline document, or a script: one step per line, keys joined with +, then how long "
                    "(12f frames, 2s seconds, 3b blocks); camera: left, right, up, down, yaw(0.1), pitch(-0.05).",
                ),
            ],
            outputs=[Actions.Output(display_name="actions", tooltip="One row per frame, for Roll Out.")],
        )

    @classmethod
    def validate_inputs(cls, script: str) -> bool | str:
        return host.inputs.action_timeline.problem_with_script(script, checking.other_input("variant")) or True

    @classmethod
    def execute(cls, variant: str, script: str) -> io.NodeOutput:
        return io.NodeOutput(host.inputs.action_timeline.read_inputs(script, variant))


class CameraPaths(io.ComfyNode):
    """See web/docs/MatrixGameCameraPaths.md."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MatrixGameCameraPaths",
            display_name="Camera Paths",
            category=CATEGORY,
            description="Many scripts at once: everything behind this node runs once for each, and Save Video can "
            "name its files by them.",
            search_aliases=[
                "matrix game batch",
                "batch scripts",
                "camera trajectories",
                "many videos",
                "script list",
                "bulk render",
            ],
            inputs=[
                _variant_input(),
                io.String.Input(
                    "scripts",
                    multiline=True,
                    default=FIRST_PATHS,
                    tooltip="Scripts as in the Action Timeline. A line '--- name' begins each and names it.",
                ),
                io.Combo.Input(
                    "file",
                    options=choices.path_file_choices(),
                    default=choices.NO_FILE,
                    tooltip="A file of ComfyUI's input folder with more scripts (.mgs, .txt), a timeline (.json), a "
                    "recording (.jsonl) or a table (.csv, .tsv). Its scripts follow those of the text.",
                ),
            ],
            outputs=[
                Actions.Output(
                    display_name="actions", is_output_list=True, tooltip="The inputs of every script, for Roll Out."
                ),
                io.String.Output(
                    display_name="names",
                    is_output_list=True,
                    tooltip="The scripts' names, for the file name of Save Video.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, scripts: str) -> bool | str:
        variant, file = checking.other_input("variant"), checking.other_input("file")
        return host.inputs.camera_paths.problem_with_paths(variant, scripts, file) or True

    @classmethod
    def fingerprint_inputs(cls, file: str, **_: Any) -> str:
        return host.inputs.camera_paths.path_file_state(file)

    @classmethod
    def execute(cls, variant: str, scripts: str, file: str) -> io.NodeOutput:
        return io.NodeOutput(*host.inputs.camera_paths.camera_paths(variant, scripts, file))


class BenchInputs(io.ComfyNode):
    """See web/docs/MatrixGameBenchInputs.md."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MatrixGameBenchInputs",
            display_name="Matrix-Game Bench Inputs",
            category=CATEGORY,
            description="Random inputs of the kind the published benchmark uses: one action held for 12 frames, then "
            "another.",
            search_aliases=["matrix game random actions", "benchmark inputs", "random walk"],
            inputs=[
                _variant_input(),
                io.Int.Input(
                    "blocks",
                    default=5,
                    min=1,
                    max=100_000,
                    tooltip="How many blocks the inputs last: the first shows 9 frames, every other 12.",
                ),
                _seed_input("Chooses the random inputs; the same seed gives the same ones."),
            ],
            outputs=[Actions.Output(display_name="actions", tooltip="One row per frame, for Roll Out.")],
        )

    @classmethod
    def execute(cls, variant: str, blocks: int, seed: int) -> io.NodeOutput:
        return io.NodeOutput(host.inputs.bench_inputs.bench_inputs(variant, blocks, seed))


class StartWorld(io.ComfyNode):
    """See web/docs/MatrixGameStartWorld.md."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MatrixGameStartWorld",
            display_name="Start World",
            category=CATEGORY,
            description="Begins a new world that looks like an image, or continues a clip whose inputs you have.",
            search_aliases=["matrix game start", "image to world", "image to video", "continue clip"],
            inputs=[
                io.Model.Input(
                    "model", tooltip="The generator, from Load Matrix-Game Generator or a LoRA loader behind it."
                ),
                Vae.Input("vae", tooltip="The VAE, from Load Matrix-Game VAE."),
                _seed_input("Chooses the noise of every block: another seed makes another world from the same start."),
                _side_input("width"),
                _side_input("height"),
                io.ClipVision.Input(
                    "clip_vision",
                    optional=True,
                    tooltip="The image encoder clip_vision_h.safetensors, from core's Load CLIP Vision. The demo "
                    "world needs none.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The first frame; cropped to the model's shape, then resized. The demo world brings its "
                    "own, one for each seed.",
                ),
                io.MultiType.Input(
                    "clip",
                    [io.Video, io.Image],
                    optional=True,
                    tooltip="Footage to continue, instead of an image: 25 frames a second, 9 + 12 n frames; frames "
                    "beyond the last whole block are left out.",
                ),
                Actions.Input(
                    "clip_actions", optional=True, tooltip="What the player did in the clip, one row per frame."
                ),
            ],
            outputs=[World.Output(display_name="world", tooltip="The world before its first new block, for Roll Out.")],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        vae: Any,
        seed: int,
        width: int,
        height: int,
        clip_vision: Any = None,
        image: Any = None,
        clip: Any = None,
        clip_actions: Any = None,
    ) -> io.NodeOutput:
        size = (height, width)
        return io.NodeOutput(
            host.start_world.start_world(model, vae, seed, size, clip_vision, image, clip, clip_actions)
        )


class FoundationConditioning(io.ComfyNode):
    """See web/docs/MatrixGameFoundationConditioning.md."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MatrixGameFoundationConditioning",
            display_name="Foundation Conditioning",
            category=CATEGORY,
            description="A picture and inputs for the foundation model, which makes a whole clip with a core sampler.",
            search_aliases=["matrix game foundation", "base model", "teacher", "ksampler", "many steps"],
            inputs=[
                io.Model.Input(
                    "model", tooltip="The foundation model, from Load Matrix-Game Generator or a LoRA loader behind it."
                ),
                Vae.Input("vae", tooltip="The VAE, from Load Matrix-Game VAE, which encodes the picture."),
                Actions.Input("actions", tooltip="What the player does, one row per frame; the last one is repeated."),
                io.ClipVision.Input(
                    "clip_vision", tooltip="The image encoder clip_vision_h.safetensors, from core's Load CLIP Vision."
                ),
                io.Image.Input("image", tooltip="The first frame; cropped to the model's shape, then resized."),
                _side_input("width"),
                _side_input("height"),
                io.Int.Input(
                    "blocks",
                    default=choices.FOUNDATION_BLOCKS,
                    min=1,
                    max=choices.MOST_FOUNDATION_BLOCKS,
                    tooltip="How long the clip is: 9 frames, and 12 for each block more. 5 are the 57 frames that the "
                    "model was trained with.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(
                    display_name="conditioning", tooltip="For both conditionings of the sampler; at cfg 1 it takes one."
                ),
                io.Latent.Output(display_name="latent", tooltip="The empty latent of the clip, for the sampler."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        vae: Any,
        actions: Any,
        clip_vision: Any,
        image: Any,
        width: int,
        height: int,
        blocks: int,
    ) -> io.NodeOutput:
        size = (height, width)
        made = host.foundation_conditioning.foundation_conditioning(
            model, vae, actions, size, blocks, clip_vision, image
        )
        return io.NodeOutput(*made)


class RollOut(io.ComfyNode):
    """See web/docs/MatrixGameRollOut.md."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MatrixGameRollOut",
            display_name="Roll Out",
            category=CATEGORY,
            description="Plays the inputs in the world, block by block, and writes the video while it runs. The world "
            "it goes on from stays as it is, so another Roll Out can branch from it.",
            search_aliases=["matrix game sampler", "play world", "generate world", "rollout", "extend video"],
            inputs=[
                World.Input(
                    "world", tooltip="The world to go on from: Start World's, another Roll Out's, or Load World's."
                ),
                Actions.Input("actions", tooltip="What the player does from here on; its length decides the video's."),
                io.Combo.Input(
                    "images",
                    options=list(IMAGE_CHOICES),
                    default=IMAGE_CHOICES[0],
                    advanced=True,
                    tooltip="Whether to keep all frames in memory for the images output: 2.7 MB a frame. The video is "
                    "on disk and needs none.",
                ),
                Cache.Input(
                    "cache",
                    optional=True,
                    tooltip="The cache, from World Cache: blocks made before are read from it, and only the others "
                    "are made.",
                ),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
            outputs=[
                io.Image.Output(display_name="images", tooltip="Frames [N, H, W, 3]; only built where asked for."),
                io.Video.Output(display_name="video", tooltip="The frames at 25 a second, backed by a file."),
                World.Output(display_name="world", tooltip="The world after the last block, to go on from."),
                io.Latent.Output(
                    display_name="latent", tooltip="The new latent frames in core's Wan scaling, for VAE Decode."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, images: str, **_: Any) -> list[bool]:
        return list(wanted_outputs(images, cls.hidden.unique_id))

    @classmethod
    def execute(cls, world: Any, actions: Any, images: str, cache: Any = None) -> io.NodeOutput:
        node = cls.hidden.unique_id
        wanted = wanted_outputs(images, node, cls.hidden.dynprompt)
        result, shown = host.roll_out.roll_out(world, actions, wanted, node, cache, cls.hidden.dynprompt)
        return io.NodeOutput(*result, ui=shown)


class ChangeWorld(io.ComfyNode):
    """See web/docs/MatrixGameChangeWorld.md."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MatrixGameChangeWorld",
            display_name="Change World",
            category=CATEGORY,
            description="Goes on from what a world's last frame should look like: painted, inpainted or otherwise "
            "changed with any image nodes. What was not changed stays, and so does the world it is made from.",
            search_aliases=["matrix game change", "edit world", "inpaint world", "paint world", "recolour", "repaint"],
            inputs=[
                World.Input("world", tooltip="The world to change: Roll Out's, Live Play's or Load World's."),
                io.Image.Input(
                    "images",
                    tooltip="What its last frame should look like, in the frames' own size. Or up to 12, for its last "
                    "frames.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=10.0,
                    step=0.05,
                    tooltip="How far the change goes. 1: to the images; a little more makes up for what fades.",
                ),
                io.Combo.Input(
                    "seen",
                    options=list(SEEN),
                    default=SEEN[0],
                    advanced=True,
                    tooltip="Which picture the network is shown from here on. changed: the last of these images, with "
                    "which a change of everything, such as night, lasts. start: the one that the world began with.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where the images count; elsewhere the world's own frames stay. One, or one an image.",
                ),
                io.ClipVision.Input(
                    "clip_vision",
                    optional=True,
                    tooltip="The image encoder clip_vision_h.safetensors, through which the changed image is seen. "
                    "Neither seen: start nor the demo world need it.",
                ),
            ],
            outputs=[World.Output(display_name="world", tooltip="The changed world, to go on from.")],
        )

    @classmethod
    def execute(
        cls, world: Any, images: Any, strength: float, seen: str, mask: Any = None, clip_vision: Any = None
    ) -> io.NodeOutput:
        return io.NodeOutput(host.change_world.changed_world(world, images, strength, seen, mask, clip_vision))


class LivePlay(io.ComfyNode):
    """See web/docs/MatrixGameLivePlay.md."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MatrixGameLivePlay",
            display_name="Live Play",
            category=CATEGORY,
            description="Play the world yourself while the node runs: hold W and walk. What you played comes out, as "
            "frames and as inputs that make them again.",
            search_aliases=["matrix game live", "play game", "interactive world", "keyboard control", "walk around"],
            inputs=[
                World.Input("world", tooltip="The world to play, from Start World, Load World or Roll Out."),
                io.Combo.Input(
                    "mode",
                    options=list(MODES),
                    tooltip="When your inputs count. responsive: what is held when a block starts counts for all of "
                    "it. faithful: your last 12 frames of input are replayed, one block late.",
                ),
                io.Combo.Input(
                    "images",
                    options=list(IMAGE_CHOICES),
                    default=IMAGE_CHOICES[0],
                    advanced=True,
                    tooltip="Whether to build the images output: 2.7 MB a frame.",
                ),
                io.Int.Input(
                    "blocks",
                    default=341,
                    min=1,
                    max=3000,
                    advanced=True,
                    tooltip="The most blocks of 12 frames in one go; frames lie in the temporary folder, 0.7 MB each.",
                ),
                io.Int.Input(
                    "idle",
                    default=120,
                    min=5,
                    max=3600,
                    advanced=True,
                    tooltip="Seconds without input after which the node ends and keeps what was played.",
                ),
                Cache.Input(
                    "cache",
                    optional=True,
                    tooltip="The cache, from World Cache: blocks you play are stored in it, and those it holds are "
                    "not made again.",
                ),
                io.ClipVision.Input(
                    "clip_vision",
                    optional=True,
                    tooltip="The image encoder clip_vision_h.safetensors, through which a picture that you change is "
                    "seen. The demo world does not need it.",
                ),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
            is_output_node=True,
            outputs=[
                io.Image.Output(display_name="images", tooltip="Frames [N, H, W, 3]; only built where asked for."),
                io.Video.Output(display_name="video", tooltip="The frames at 25 a second, backed by a file."),
                World.Output(display_name="world", tooltip="The world after the last block, to go on from."),
                Actions.Output(
                    display_name="actions",
                    tooltip="The inputs you played; Roll Out makes the same frames of them if no picture was changed.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> float:
        return float("nan")  # played anew each time: nothing equals it

    @classmethod
    def execute(
        cls, world: Any, mode: str, images: str, blocks: int, idle: int, cache: Any = None, clip_vision: Any = None
    ) -> io.NodeOutput:
        node = cls.hidden.unique_id
        wanted = wanted_outputs(images, node, cls.hidden.dynprompt).images
        played, shown = host.live_play.play(world, mode, idle, blocks, wanted, node, cache, clip_vision)
        return io.NodeOutput(*played, ui=shown)


class WorldCache(io.ComfyNode):
    """See web/docs/MatrixGameWorldCache.md."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MatrixGameWorldCache",
            display_name="World Cache",
            category=CATEGORY,
            description="Keeps finished blocks for Roll Out, so that an edit makes only what it can reach and an undo "
            "makes nothing; and keeps a world, to go on from it without running what is before it.",
            search_aliases=["matrix game cache", "checkpoint world", "keep world", "restore world", "block cache"],
            inputs=[
                io.Model.Input("model", optional=True, tooltip="The generator that a restored world goes on with."),
                Vae.Input("vae", optional=True, tooltip="The VAE that a restored world goes on with."),
                io.String.Input(
                    "name",
                    default="world",
                    tooltip="The project's name: a folder in output/matrixgame/cache, and the world kept under that "
                    "name. Use letters, digits, spaces, - and _.",
                ),
                io.Combo.Input(
                    "mode",
                    options=list(choices.CACHE_CHOICES),
                    default=choices.CACHE_CHOICES[0],
                    tooltip="What to do with the world. automatic: restore it if the graph before this node is the "
                    "one it was made with, else make and keep it. keep: always make it anew. restore: take whatever "
                    "is kept. forget: delete it and the project's blocks, and pass the world on.",
                ),
                io.Float.Input(
                    "limit_gb",
                    default=20.0,
                    min=0.1,
                    max=10_000.0,
                    step=0.5,
                    advanced=True,
                    tooltip="The size that all projects and kept worlds together may have on disk; what was unused "
                    "for longest is deleted first.",
                ),
                World.Input(
                    "world", optional=True, lazy=True, tooltip="The world to keep; not run where one is restored."
                ),
                io.Float.Input(
                    "memory_gb",
                    default=2.0,
                    min=0.0,
                    max=1_000.0,
                    step=0.5,
                    optional=True,
                    advanced=True,
                    tooltip="The main memory that the project's blocks may take; all of them are on disk as well.",
                ),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
            outputs=[
                World.Output(
                    display_name="world", tooltip="The world, made or restored; empty where no world is connected."
                ),
                Cache.Output(display_name="cache", tooltip="The project's blocks, for Roll Out."),
            ],
        )

    @classmethod
    def validate_inputs(cls, name: str | None) -> bool | str:
        from .comfyui_matrixgame.cache.kept_worlds import problem_with_name  # of what the first run needs all the same

        return True if name is None else problem_with_name(name) or True  # None: linked, so its value comes later

    @classmethod
    def fingerprint_inputs(cls, name: str | None, mode: str, **_: Any) -> str:
        return host.world_cache.cache_state(name, mode)

    @classmethod
    def check_lazy_status(cls, name: str, mode: str, **others: Any) -> list[str]:
        return host.world_cache.inputs_to_run(name, mode, others, cls.hidden.unique_id, cls.hidden.dynprompt)

    @classmethod
    def execute(
        cls,
        name: str,
        mode: str,
        limit_gb: float,
        model: Any = None,
        vae: Any = None,
        world: Any = None,
        memory_gb: float = 2.0,
    ) -> io.NodeOutput:
        node, graph = cls.hidden.unique_id, cls.hidden.dynprompt
        cache = host.world_cache.open_cache(name, mode, memory_gb, limit_gb)
        return io.NodeOutput(host.world_cache.cached_world(model, vae, name, mode, limit_gb, world, node, graph), cache)


class SaveWorld(io.ComfyNode):
    """See web/docs/MatrixGameSaveWorld.md."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MatrixGameSaveWorld",
            display_name="Save World",
            category=CATEGORY,
            description="Writes a world into one file, so that another graph, another day or another machine can go "
            "on from it.",
            search_aliases=["matrix game save", "export world", "save state"],
            inputs=[
                World.Input("world", tooltip="The world to save, from Start World or Roll Out."),
                io.String.Input(
                    "filename_prefix",
                    default="matrixgame/world",
                    tooltip="The file's name below the output folder; a number is added. Load World lists "
                    "output/matrixgame.",
                ),
            ],
            is_output_node=True,
            outputs=[],
        )

    @classmethod
    def execute(cls, world: Any, filename_prefix: str) -> io.NodeOutput:
        return io.NodeOutput(ui=ui.PreviewText(host.saved_worlds.save_world(world, filename_prefix)))


class LoadWorld(io.ComfyNode):
    """See web/docs/MatrixGameLoadWorld.md."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MatrixGameLoadWorld",
            display_name="Load World",
            category=CATEGORY,
            description="Reads a world that Save World wrote; the models must be those it was made with.",
            search_aliases=["matrix game load", "import world", "load state"],
            inputs=[
                io.Model.Input(
                    "model", tooltip="The generator, from Load Matrix-Game Generator; its variant must be the world's."
                ),
                Vae.Input("vae", tooltip="The VAE, from Load Matrix-Game VAE."),
                io.Combo.Input("file", options=choices.world_choices(), tooltip="A file in output/matrixgame."),
            ],
            outputs=[World.Output(display_name="world", tooltip="The world as it was saved, for Roll Out.")],
        )

    @classmethod
    def fingerprint_inputs(cls, file: str, **_: Any) -> str:
        return host.saved_worlds.world_file_state(file)

    @classmethod
    def execute(cls, model: Any, vae: Any, file: str) -> io.NodeOutput:
        return io.NodeOutput(host.saved_worlds.load_world(model, vae, file))


class ActionOverlay(io.ComfyNode):
    """See web/docs/MatrixGameActionOverlay.md."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MatrixGameActionOverlay",
            display_name="Action Overlay",
            category=CATEGORY,
            description="Draws what the player does onto the frames: keys, camera, time.",
            search_aliases=["matrix game hud", "show keys", "heads-up display", "overlay controls"],
            inputs=[
                io.Image.Input("images", tooltip="Frames, from the first one that the actions were played on."),
                Actions.Input("actions", tooltip="The inputs to show; frames beyond their end show the last ones."),
                io.Combo.Input(
                    "style",
                    options=list(STYLES),
                    tooltip="How the inputs are drawn. keys: key caps and a camera stick. history: the last 48 frames "
                    "of every key as well. dots: small marks, also taken for pictures under 96 pixels. none: nothing.",
                ),
                io.Combo.Input(
                    "position",
                    options=list(POSITIONS),
                    tooltip="Where they are drawn; bottom and top use both corners.",
                ),
                io.Float.Input(
                    "scale",
                    default=1.0,
                    min=0.25,
                    max=4.0,
                    step=0.05,
                    tooltip="The size; at 1 a key is 1/14 of the height.",
                ),
                io.Float.Input(
                    "opacity",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="How opaque they are: 0 is invisible, 1 as designed.",
                ),
                io.Boolean.Input(
                    "below", default=False, tooltip="Draw on a bar under the picture; the frames become higher."
                ),
                io.Int.Input(
                    "offset",
                    default=0,
                    min=-100,
                    max=100,
                    advanced=True,
                    tooltip="The rows to show: at 0 what is held while a frame is on screen, at 1 what the frame was "
                    "made from.",
                ),
                io.Boolean.Input(
                    "numbers", default=False, advanced=True, tooltip="Write the camera's speed in degrees a frame."
                ),
                io.Boolean.Input("counter", default=False, advanced=True, tooltip="Write the input row and its block."),
            ],
            outputs=[io.Image.Output(display_name="images", tooltip="The frames with the display.")],
        )

    @classmethod
    def execute(cls, images: Any, actions: Any, **look: Any) -> io.NodeOutput:
        return io.NodeOutput(host.action_overlay.draw_overlay(images, actions, **look))


class ScoreVideo(io.ComfyNode):
    """See web/docs/MatrixGameScoreVideo.md."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MatrixGameScoreVideo",
            display_name="Score Video",
            category=CATEGORY,
            description="Measures whether a film moves as its inputs ask, and how its colours and sharpness hold.",
            search_aliases=["matrix game benchmark", "evaluate video", "action accuracy", "drift", "gameworld score"],
            inputs=[
                io.MultiType.Input(
                    "film", [io.Video, io.Image], tooltip="The film to measure; images count as 25 frames a second."
                ),
                Actions.Input(
                    "actions",
                    optional=True,
                    tooltip="What the player did, from the film's first frame on; without it only colours, sharpness "
                    "and change are measured.",
                ),
                io.MultiType.Input(
                    "reference",
                    [io.Video, io.Image],
                    optional=True,
                    tooltip="A film to compare with frame by frame, of the same size: PSNR and SSIM.",
                ),
                io.ClipVision.Input(
                    "clip_vision",
                    optional=True,
                    tooltip="An image encoder, from core's Load CLIP Vision, for the likeness of the frames: "
                    "clip_vision_h.safetensors, or CLIP ViT-L/14, with which an aesthetic head works too.",
                ),
                io.Combo.Input(
                    "aesthetic_head",
                    options=choices.score_weight_choices(),
                    default=choices.NO_FILE,
                    optional=True,
                    tooltip="LAION's linear head in models/scores, sa_0_4_vit_l_14_linear.pth, for aesthetic quality; "
                    "it needs CLIP ViT-L/14 as clip_vision.",
                ),
                io.Combo.Input(
                    "inverse_dynamics",
                    options=choices.score_weight_choices(),
                    default=choices.NO_FILE,
                    optional=True,
                    tooltip="Weights of Video PreTraining in models/scores, 4x_idm.weights, for keyboard and mouse "
                    "accuracy. They learned Minecraft, and take minutes on a processor.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            outputs=[
                io.String.Output(display_name="report", tooltip="The scores as text, with what they mean."),
                io.String.Output(display_name="json", tooltip="All of it as JSON, with the curves."),
                io.Image.Output(display_name="curves", tooltip="The inputs above what was seen, over time."),
            ],
        )

    @classmethod
    def fingerprint_inputs(
        cls, aesthetic_head: str = choices.NO_FILE, inverse_dynamics: str = choices.NO_FILE, **_: Any
    ) -> list[str]:
        return host.score_video.score_weights_state(aesthetic_head, inverse_dynamics)

    @classmethod
    def execute(
        cls,
        film: Any,
        actions: Any = None,
        reference: Any = None,
        clip_vision: Any = None,
        aesthetic_head: str = choices.NO_FILE,
        inverse_dynamics: str = choices.NO_FILE,
    ) -> io.NodeOutput:
        named = clip_vision, aesthetic_head, inverse_dynamics
        text, data, curves = host.score_video.score_video(film, actions, reference, named, cls.hidden.unique_id)
        return io.NodeOutput(text, data, curves, ui=ui.PreviewText(text))


class SeedGallery(io.ComfyNode):
    """See web/docs/MatrixGameSeedGallery.md."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MatrixGameSeedGallery",
            display_name="Seed Gallery",
            category=CATEGORY,
            description="Shows how the first blocks look with one seed after the other; a click on a picture takes it.",
            search_aliases=["matrix game seeds", "try seeds", "reroll", "contact sheet", "variations"],
            inputs=[
                World.Input("world", tooltip="The world to go on from: Start World's, Roll Out's, or Load World's."),
                Actions.Input("actions", tooltip="What the player does; only the first blocks of it are made."),
                io.Int.Input(
                    "first_seed",
                    default=1,
                    min=0,
                    max=MAX_SEED + 1 - MOST_PICTURES,
                    tooltip="The first seed; the others count up.",
                ),
                io.Int.Input("count", default=6, min=2, max=MOST_PICTURES, tooltip="How many seeds, and pictures."),
                io.Int.Input(
                    "blocks", default=1, min=1, max=3, tooltip="Blocks to make with each; the last frame is shown."
                ),
                Cache.Input(
                    "cache",
                    optional=True,
                    tooltip="The cache, from World Cache: Roll Out with the same cache goes on from the seed that was "
                    "taken, and makes none of its blocks again.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            outputs=[
                io.Image.Output(display_name="sheet", tooltip="All pictures as one, each over its seed."),
                io.Image.Output(display_name="images", tooltip="The last frame with each seed, one after the other."),
            ],
        )

    @classmethod
    def execute(
        cls, world: Any, actions: Any, first_seed: int, count: int, blocks: int, cache: Any = None
    ) -> io.NodeOutput:
        made = host.comparing.seed_gallery.seed_gallery(
            world, actions, first_seed, count, blocks, cache, cls.hidden.unique_id
        )
        pictures = ui.PreviewImage(made.images, cls=cls).values
        shown = {"pictures": pictures, "seeds": made.seeds, "text": [made.text]}
        return io.NodeOutput(made.sheet, made.images, ui=shown)


class GridVideo(io.ComfyNode):
    """See web/docs/MatrixGameGridVideo.md."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        films = [
            io.Video.Input(f"video_{number}", optional=number > 2, tooltip="A video; a shorter one stands at its end.")
            for number in range(1, 5)
        ]
        return io.Schema(
            node_id="MatrixGameGridVideo",
            display_name="Grid Video",
            category=CATEGORY,
            description="Plays two to four videos in step as one, each under its name: branches, seeds or LoRAs.",
            search_aliases=["matrix game compare", "side by side", "split screen", "compare videos", "video grid"],
            inputs=[
                *films,
                io.String.Input(
                    "names",
                    multiline=True,
                    default="one\ntwo",
                    tooltip="The names, one a line; videos without one are numbered.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            outputs=[io.Video.Output(display_name="video", tooltip="The grid at 25 frames a second.")],
        )

    @classmethod
    def execute(cls, names: str, **films: Any) -> io.NodeOutput:
        given = [films[name] for name in sorted(films) if films[name] is not None]
        return io.NodeOutput(host.comparing.grid_video.grid_video(given, names, cls.hidden.unique_id))


class MatrixGameExtension(ComfyExtension):
    """All nodes of the pack."""

    async def on_load(self) -> None:
        """Offer what the panel of World Cache, the timeline's strip and the player ask for; look at prompts."""
        checking.watch_prompts()
        routes.add_routes()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            LoadGenerator,
            LoadLora,
            LoadVAE,
            ActionTimeline,
            CameraPaths,
            BenchInputs,
            StartWorld,
            FoundationConditioning,
            RollOut,
            ChangeWorld,
            LivePlay,
            WorldCache,
            SaveWorld,
            LoadWorld,
            ActionOverlay,
            ScoreVideo,
            SeedGallery,
            GridVideo,
        ]
