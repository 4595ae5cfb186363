"""What a job file asks for, once it has been read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...checkpoints.builtin import NAME as DEMO_WORLD
from .products import Job, Product, Totals

KEEP = ("mp4", "png", "jpeg", "latents", "inputs", "world")


@dataclass(frozen=True)
class ModelPaths:
    """The weights of a job file as they are written there. generators: by variant, or under "" where there is one.
    loras: each a FILE or FILE:STRENGTH."""

    generators: dict[str, str]
    vae: str | None = None
    clip: str | None = None
    decoder: str | None = None
    dtype: str = "auto"
    attention: str = "sdpa"
    loras: tuple[str, ...] = ()
    line: int = 1

    @property
    def is_demo(self) -> bool:
        """Whether they are those of the built-in demo world: where none is named, or its name is."""
        named = self.generators.get("") if len(self.generators) == 1 else None
        return (not self.generators or named in (DEMO_WORLD, "demo")) and not self.vae and not self.clip


@dataclass(frozen=True)
class Overlay:
    """How the heads-up display is drawn onto a second video."""

    style: str = "keys"
    position: str = "bottom"


@dataclass(frozen=True)
class JobFile:
    """A job file that holds.

    size: height and width. output: folder or URL. keep: of KEEP. worlds: how many are made at once on a device.
    cache: folder of the World Cache, so that what several jobs begin with is made once; None for none. notes:
    sentences on what was left out, assumed, or is read without effect.
    """

    path: Path
    models: ModelPaths
    size: tuple[int, int]
    output: str
    keep: tuple[str, ...]
    overlay: Overlay | None
    worlds: int
    cache: Path | None
    products: list[Product]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return sum(len(product) for product in self.products)

    @property
    def variants(self) -> list[str]:
        """The variants that are asked for, in order."""
        return list(dict.fromkeys(variant for product in self.products for variant in product.variants))

    def jobs(self, variant: str | None = None) -> Iterator[Job]:
        """All jobs, or those of one variant, made as they are asked for."""
        for product in self.products:
            yield from product.jobs(variant)

    def totals(self) -> list[Totals]:
        """Jobs by variant and length, without visiting them."""
        return [part for product in self.products for part in product.totals()]


def is_url(where: str) -> bool:
    """Whether an output is a URL and not a folder."""
    return "://" in where
