"""All that touches ComfyUI: models and memory, progress, interruption, files. `nodes.py` only translates.

Weights live behind core's ModelPatcher and are loaded with `load_models_gpu`, with core's cast-on-the-fly layers,
so that low memory modes, --reserve-vram, LoRA patches, "Unload models" and "Free" work as for core's own models.
Nothing else of the package imports this folder.
"""
