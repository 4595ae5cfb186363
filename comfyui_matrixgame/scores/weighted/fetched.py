"""The published weights of measures that can be fetched: pinned, and their licences said before the download."""

from __future__ import annotations

from pathlib import Path

from ...checkpoints.download import SHARED, RemoteFile

LICENCE = (
    "OpenAI's CLIP: MIT (github.com/openai/CLIP); its model card names no licence of its own, and puts any deployed "
    "use out of scope"
)
LICENCE_OF_TOWER = "LAION's CLIP ViT-H/14: MIT"
LICENCE_OF_INVERSE_DYNAMICS = (
    "OpenAI's Video PreTraining: MIT (github.com/openai/Video-Pre-Training), if it is their 4x_idm.weights; they "
    "publish no checksum of it"
)
FOLDER = "scores"


def _file(model: str, revision: str, path: str, sha256: str, size: int) -> RemoteFile:
    return RemoteFile(f"openai/{model}", path, f"{FOLDER}/{model}/{path}", sha256, size, revision)


_B32 = ("clip-vit-base-patch32", "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268")
_L14 = ("clip-vit-large-patch14", "32bd64288804d66eefd0ccbe215aa642df71cc41")
FILES = (
    _file(*_B32, "config.json", "b575ef3c36f2a057fa19e221650105052d61cc9c1a972ec15019c6261ec98770", 4186),
    _file(*_B32, "vocab.json", "5047b556ce86ccaf6aa22b3ffccfc52d391ea4accdab9c2f2407da5b742d4363", 862_328),
    _file(*_B32, "merges.txt", "f526393189112391ce6f9795d4695f704121ce452c3aad1f5335cc41337eba85", 524_657),
    _file(*_B32, "pytorch_model.bin", "a63082132ba4f97a80bea76823f544493bffa8082296d62d71581a4feff1576f", 605_247_071),
    _file(*_L14, "config.json", "8a09b467700c58138c29d53c605b34ebc69beaadd13274a8a2af8ad2c2f4032a", 4519),
    _file(
        *_L14, "model.safetensors", "a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb", 1_710_540_580
    ),
)
BY_HAND = (
    "By hand, for --aesthetic: sa_0_4_vit_l_14_linear.pth of github.com/LAION-AI/aesthetic-predictor (MIT); for "
    "--tower: the clip_vision_h that comes with any variant; for --inverse-dynamics: 4x_idm.weights (MIT, 1.9 GB), "
    "whose address is in the README of github.com/openai/Video-Pre-Training."
)


def clip_folders(models: Path) -> list[Path]:
    """The folders of the CLIPs in a `models` folder."""
    return list(dict.fromkeys((models / file.target).parent for file in FILES))


def licence_of(sha256: str) -> str:
    """The licence of a file of weights, by its checksum."""
    if any(file.sha256 == sha256 for file in FILES):
        return LICENCE
    if any(file.sha256 == sha256 for file in SHARED if file.target.startswith("clip_vision/")):
        return LICENCE_OF_TOWER
    return "not a file that this program knows; see where it is from"
