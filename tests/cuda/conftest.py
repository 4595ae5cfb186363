"""Networks in files, for what loads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import save_file

from ..batch.jobs import write_files
from ..support.networks import manifest, weights

LAYERS = 3  # more than a WeightStream has places
TINY = "tiny.safetensors"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generator, VAE, image tower and pictures as tests.batch.jobs.write_files has them, and a tiny decoder."""
    folder = write_files(tmp_path_factory.mktemp("cuda"), LAYERS)
    save_file(weights("taehv", manifest("taehv")), folder / TINY)
    return folder
