"""FastVideo's classes as a worker of the bench: from a checkout in the same layout, and from the real one where
FASTVIDEO_PATH names it."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from .loaded import BENCH, bench


def beside_module() -> Any:
    bench("report")  # puts bench/ on the path
    return importlib.import_module("workers.beside")


LAYOUT = {
    "__init__.py": "raise RuntimeError('imports everything')",
    "models/__init__.py": "raise RuntimeError('imports everything')",
    "models/dits/matrixgame2/__init__.py": "raise RuntimeError('imports everything')",
    "distributed/__init__.py": "",
    "distributed/parallel_state.py": "_SP = None",
    "platforms/__init__.py": """
        class current_platform:
            is_cpu = staticmethod(lambda: True)
        """,
    "forward_context.py": """
        import contextlib
        inside = []
        @contextlib.contextmanager
        def set_forward_context(current_timestep, attn_metadata):
            inside.append(1)
            yield
            inside.pop()
        """,
    "configs/__init__.py": "",
    "configs/models/__init__.py": "",
    "configs/models/dits/__init__.py": "",
    "configs/models/dits/matrixgame2.py": """
        from types import SimpleNamespace
        def MatrixGame2WanVideoConfig():
            return SimpleNamespace(arch_config=SimpleNamespace(action_config={"rope_theta": 256}))
        """,
    "configs/models/vaes.py": """
        from types import SimpleNamespace
        WanVAEConfig = SimpleNamespace
        """,
    "models/vaes/__init__.py": "raise RuntimeError('imports everything')",
    "models/vaes/wanvae.py": """
        import torch
        class AutoencoderKLWan(torch.nn.Module):
            def __init__(self, config):
                super().__init__()
                self.scale = torch.nn.Parameter(torch.ones(1))
            def get_streaming_cache(self):
                return []
            def streaming_decode(self, z, cache, is_first_chunk):
                assert is_first_chunk == (not cache) and z.shape == (1, 16, 1, 22, 40)
                return z[:, :3].repeat_interleave(1 if is_first_chunk else 4, dim=2) * self.scale, [*cache, z]
        """,
    "models/dits/matrixgame2/causal_model.py": """
        import torch
        import a_package_that_nobody_has.parts
        from a_package_that_nobody_has import Base
        from fastvideo import forward_context
        from fastvideo.distributed import parallel_state
        from fastvideo.platforms import current_platform

        class Named(Base):
            pass

        class CausalMatrixGame2WanModel(torch.nn.Module):
            def __init__(self, config, hf_config):
                super().__init__()
                sizes = config.arch_config
                assert (sizes.num_layers, sizes.in_channels, sizes.local_attn_size) == (2, 36, 6)
                assert sizes.action_config["rope_theta"] == 256 and sizes.action_config["keyboard_dim_in"] == 4
                assert current_platform.get_attn_backend_cls().endswith("SDPABackend")
                self.scale = torch.nn.Parameter(torch.ones(16))
                self.blocks = torch.nn.ModuleList([torch.nn.Module()])
                self.blocks[0].action_model = torch.nn.Module()
                backend = type("Backend", (), {"name": "TORCH_SDPA"})
                self.blocks[0].action_model.keyboard_attn_layer = type("Layer", (), {"backend": backend})

            def forward(self, x, text, timestep, image, mouse_cond, keyboard_cond, kv_cache, kv_cache_mouse,
                        kv_cache_keyboard, crossattn_cache, current_start, cache_start, start_frame,
                        num_frame_per_block):
                assert forward_context.inside and parallel_state._SP.world_size == 1
                assert x.shape == (1, 36, 3, 44, 80) and keyboard_cond.shape[1] == 9 + 4 * start_frame
                assert current_start == 880 * start_frame and kv_cache[1]["k"].shape == (1, 5280, 12, 128)
                return x[:, :16] * self.scale.view(1, 16, 1, 1, 1)
        """,
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the modules that the worker takes from FastVideo."""
    for name, text in LAYOUT.items():
        path = tmp_path / "fastvideo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return tmp_path


def options(path: Path, **more: Any) -> Namespace:
    arguments = {
        "reference": None,
        "fastvideo": path,
        "device": "cpu",
        "layers": 2,
        "threads": 1,
        "rounds": 2,
        "dtypes": [],
    }
    return Namespace(**arguments, eager_decoder=True, **more)


def test_its_modules_alone_are_loaded_and_passes_are_timed(checkout: Path) -> None:
    found = beside_module().beside(options(checkout), "universal")
    assert found["programs"] == {"FastVideo": {"computed": "float32", "attention": "torch_sdpa"}}
    row = found["works"]["pass"]["FastVideo"]
    assert len(row["answers"]) == 2
    assert row["blocks_a_second_of_passes_alone"] == pytest.approx(1 / (4 * row["s"]))
    assert found["works"]["decode"]["FastVideo"]["s"] >= 0
    page = "\n".join(bench("report").beside_lines(found))
    assert "Beside FastVideo's classes: universal, 2 layers" in page
    assert "blocks a second of passes alone" in page


def test_ratios_to_both_are_of_the_same_turn() -> None:
    beside = beside_module()

    class Timed:
        def __init__(self, *seconds: float, works: str = "pass") -> None:
            self.left, self.works = list(seconds), works

        def does(self, work: str) -> bool:
            return work in self.works

        def time(self, _: str) -> dict[str, Any]:
            return {"s": self.left.pop(0)}

    workers = {"published": Timed(4.0, 8.0), "FastVideo": Timed(3.0, 3.0), "ours, x": Timed(1.0, 2.0)}
    table = beside.take_turns(workers, "pass", 2)
    assert table["FastVideo"]["ratios"] == pytest.approx([4 / 3, 8 / 3])
    assert table["ours, x"]["ratios"] == [4.0, 4.0]
    assert table["ours, x"]["beside_fastvideo"] == {"ratios": [3.0, 1.5], "times_as_fast": 2.25}
    assert table["ours, x"]["s"] == 1.0
    assert beside.take_turns(workers, "block", 2)["FastVideo"]["s"] is None  # nobody does that here


def test_a_folder_that_is_no_checkout_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = beside_module().beside(options(tmp_path), "universal")
    assert "failed" in found["programs"]["FastVideo"]
    assert f"{tmp_path} is not a checkout of FastVideo with Matrix-Game 2" in capfd.readouterr().err


@pytest.mark.parametrize("variant", ["universal", "gta_drive", "templerun"])
def test_its_network_computes_what_ours_does(variant: str) -> None:
    """Within 1e-4 of velocities around 1, in float32, over four blocks: the window is full from the third on."""
    path = os.environ.get("FASTVIDEO_PATH")
    if path is None:
        pytest.skip("FASTVIDEO_PATH names no checkout of FastVideo")
    command = [sys.executable, str(BENCH / "workers" / "fastvideo_code.py"), path, "--check", "--variant", variant]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout.split()[-1]) < 1e-4
