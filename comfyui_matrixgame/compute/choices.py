"""What can be chosen of how networks compute, by name. Imports nothing: nodes list it while ComfyUI starts."""

from __future__ import annotations

EXACT = "exact"
PRECISIONS = (EXACT, "fp8", "int8")
BACKENDS = ("sdpa", "flash2", "flash3", "sage")  # of attention
DTYPE_NAMES = ("float32", "bfloat16", "float16", "float8_e4m3fn")  # that weights are stored in
