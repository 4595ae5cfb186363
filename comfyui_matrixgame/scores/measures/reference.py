"""PSNR and SSIM against a reference film, frame by frame, with FFmpeg's filters, which PyAV brings along."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

import av
import av.filter
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

FORMAT = av.VideoFormat("gbrp")
PSNR, SSIM = "lavfi.psnr.psnr_avg", "lavfi.ssim.All"


@dataclass
class Reference:
    """Feed it frames and those of the reference with `add`; both of one size."""

    psnr: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    _graph: av.filter.Graph | None = None
    _inputs: tuple = ()

    def add(self, frames: Tensor, others: Tensor) -> None:
        """Frames [N, H, W, 3] of 8 bits, and as many of the reference."""
        for one, other in zip(frames.numpy(), others.numpy(), strict=True):
            if self._graph is None:
                self._start(*one.shape[:2])
            assert self._graph is not None
            for place, picture in zip(self._inputs, (one, other), strict=True):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(
                    format=FORMAT.name
                )
                frame.pts = len(self.psnr)
                place.push(frame)
            said = self._graph.vpull().metadata
            self.psnr.append(float(said[PSNR]))
            self.ssim.append(float(said[SSIM]))

    def about(self) -> dict[str, float | None]:
        """Means over all frames; equal frames, whose PSNR is infinite, count as 100 dB."""
        if not self.psnr:
            return {"psnr": None, "ssim": None}
        return {"psnr": round(float(np.mean(self.capped())), 2), "ssim": round(float(np.mean(self.ssim)), 4)}

    def capped(self) -> NDArray[np.float64]:
        """PSNR of each frame, 100 dB at most."""
        return np.array([100.0 if math.isinf(value) else value for value in self.psnr])

    def _start(self, height: int, width: int) -> None:
        graph = av.filter.Graph()
        inputs = [
            graph.add_buffer(width=width, height=height, format=FORMAT, time_base=Fraction(1, 25)) for _ in range(2)
        ]
        psnr, ssim = graph.add("psnr"), graph.add("ssim")
        splits = [graph.add("split") for _ in inputs]
        for index, (place, split) in enumerate(zip(inputs, splits, strict=True)):
            place.link_to(split)
            split.link_to(psnr, 0, index)
        psnr.link_to(ssim, 0, 0)
        splits[1].link_to(ssim, 1, 1)
        splits[0].link_to(graph.add("nullsink"), 1, 0)
        ssim.link_to(graph.add("buffersink"))
        graph.configure()
        self._graph, self._inputs = graph, tuple(inputs)
