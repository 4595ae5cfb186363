"""PSNR and SSIM are those of FFmpeg's filters, and need none of them."""

from __future__ import annotations

from fractions import Fraction

import av
import av.filter
import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d

from comfyui_matrixgame.scores.measures.reference import Reference


def pictures(height: int, width: int, noise: int) -> list[torch.Tensor]:
    """A picture [H, W, 3] of 8 bits, and the same with noise."""
    draw = torch.Generator().manual_seed(2)
    rough = torch.randint(0, 256, (3, height, width), generator=draw).float()
    picture = avg_pool2d(rough, 5, 1, 2).permute(1, 2, 0).round()
    other = (picture + torch.randint(-noise, noise + 1, picture.shape, generator=draw)).clamp(0, 255)
    return [each.to(torch.uint8).contiguous() for each in (picture, other)]


def said_by_ffmpeg(measure: str, *pictures: np.ndarray) -> float:
    """What the filter psnr or ssim says of two pictures."""
    graph = av.filter.Graph()
    compared, places = graph.add(measure), []
    frames = [av.VideoFrame.from_ndarray(each, format="rgb24").reformat(format="gbrp") for each in pictures]
    for index, frame in enumerate(frames):
        places.append(
            graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25))
        )
        places[-1].link_to(compared, 0, index)
    compared.link_to(graph.add("buffersink"))
    graph.configure()
    for place, frame in zip(places, frames, strict=True):
        frame.pts = 0
        place.push(frame)
    return float(graph.vpull().metadata[{"psnr": "lavfi.psnr.psnr_avg", "ssim": "lavfi.ssim.All"}[measure]])


@pytest.mark.skipif(not hasattr(av.VideoFrame, "metadata"), reason="PyAV before 18 does not report what filters found")
@pytest.mark.parametrize(("height", "width", "noise"), [(48, 80, 9), (51, 83, 90), (16, 16, 1), (48, 80, 0)])
def test_they_are_those_of_ffmpeg(height: int, width: int, noise: int) -> None:
    one, other = pictures(height, width, noise)
    found = Reference()
    found.add(one[None], other[None])
    assert found.psnr == [pytest.approx(said_by_ffmpeg("psnr", one.numpy(), other.numpy()), abs=1e-5)]
    assert found.ssim == [pytest.approx(said_by_ffmpeg("ssim", one.numpy(), other.numpy()), abs=1e-5)]


def test_frames_smaller_than_a_window_have_no_ssim() -> None:
    one, other = pictures(6, 80, 9)
    found = Reference()
    found.add(one[None], other[None])
    assert found.about()["psnr"] is not None
    assert found.about()["ssim"] is None


def test_they_need_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyAV 17 and older, and so all of Python 3.10, cannot say what a filter found."""
    monkeypatch.setattr(av.filter, "Graph", None)
    one, other = pictures(48, 80, 9)
    found = Reference()
    found.add(one[None], other[None])
    assert 30 < found.psnr[0] < 40
    assert 0.5 < found.ssim[0] < 1
