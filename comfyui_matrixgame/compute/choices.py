"""What can be chosen of how networks compute and what they see, by name. Imports nothing: nodes list it early."""

from __future__ import annotations

EXACT = "exact"
PRECISIONS = (EXACT, "fp8", "int8")
BACKENDS = ("sdpa", "flash2", "flash3", "sage")  # of attention
SEEN = SEEN_CHANGED, SEEN_START = "changed", "start"  # pictures that a generator may be shown once a world is changed
DTYPE_NAMES = ("float32", "bfloat16", "float16", "float8_e4m3fn")  # that weights are stored in
