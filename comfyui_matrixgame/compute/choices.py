"""Names of the choices in how networks compute and what they see. Imports nothing, because nodes list them early."""

from __future__ import annotations

EXACT = "exact"
PRECISIONS = (EXACT, "fp8", "int8")
BACKENDS = ("sdpa", "flash2", "flash3", "sage")  # of attention
SEEN = SEEN_CHANGED, SEEN_START = "changed", "start"  # pictures that a generator may be shown once a world is changed
DTYPE_NAMES = ("float32", "bfloat16", "float16", "float8_e4m3fn")  # that weights are stored in
