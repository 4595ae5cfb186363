"""What stands behind the nodes that give inputs, a file by the name of each."""

from typing import TYPE_CHECKING

from ...system.lazily import lazily

if TYPE_CHECKING:
    from . import action_timeline, bench_inputs, camera_paths

__all__ = ["action_timeline", "bench_inputs", "camera_paths"]
__getattr__ = lazily(__name__, **dict.fromkeys(__all__, ""))
