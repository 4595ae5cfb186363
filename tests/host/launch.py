"""Runs ComfyUI's main.py, also where torchvision and torchaudio are not installed.

    python tests/host/launch.py --cpu --port 8188 ...

ComfyUI is the one in $COMFYUI_PATH, by default ~/ComfyUI. On a machine with a CPU build of torch there are no fitting
wheels of torchvision and torchaudio; core imports both, but only nodes that no test here uses call them, so an
import of either gives empty stand-ins. What is really installed is left alone.

With $PRETEND_GPUS=N it runs on N pretended GPUs (tests/pretend_gpu); the file $PRETEND_REPORT gets a line for each race
and each recorded graph.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import os
import runpy
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

STAND_INS = ("torchvision", "torchaudio")
GPUS, REPORT = "PRETEND_GPUS", "PRETEND_REPORT"


class Absent:
    """Any name of a package that is not installed: can be imported, stored and subclassed, but not used."""

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        raise RuntimeError("This ComfyUI runs without torchvision and torchaudio; the node needs one of them.")


class StandInModule(ModuleType):
    def __getattr__(self, name: str) -> type[Absent]:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent


class StandInFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds every module of the packages `names`, and makes it an empty one."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] not in self.names:
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return StandInModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def comfyui_path() -> Path:
    """The folder of the ComfyUI under test; it may not exist."""
    return Path(os.environ.get("COMFYUI_PATH") or Path.home() / "ComfyUI").expanduser()


def let_transformers_look(names: tuple[str, ...]) -> None:
    """transformers works without these packages if it knows that they are missing; it asks once, so it must ask before
    the stand-ins exist."""
    try:
        from transformers.utils import import_utils
    except ImportError:
        return
    for name in names:
        getattr(import_utils, f"is_{name}_available", bool)()


def install_stand_ins() -> None:
    """Make the packages that are missing importable; before anything of ComfyUI is imported."""
    missing = tuple(name for name in STAND_INS if importlib.util.find_spec(name) is None)
    if missing:
        let_transformers_look(missing)
        sys.meta_path.append(StandInFinder(missing))


def pretended_gpus() -> AbstractContextManager[object]:
    """The pretended GPUs that are asked for; nothing where none are."""
    count, report = os.environ.get(GPUS), os.environ.get(REPORT)
    if not count:
        return nullcontext()
    tests = str(Path(__file__).resolve().parents[1])
    sys.path.insert(0, tests)
    pretend = importlib.import_module("pretend_gpu")
    sys.path.remove(tests)
    return pretend.pretend_gpus(int(count), report=Path(report) if report else None)


def main() -> None:
    root = comfyui_path()
    install_stand_ins()
    sys.argv[0] = str(root / "main.py")
    sys.path[0] = str(root)
    with pretended_gpus():
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
