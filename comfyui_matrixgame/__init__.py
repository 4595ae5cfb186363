"""Matrix-Game 2.0 as an engine: one image and a track of inputs become a video, block by block.

This package never imports ComfyUI (only `host.py` does) and imports torch only where tensors are made.
"""

__version__ = "0.1.0"
