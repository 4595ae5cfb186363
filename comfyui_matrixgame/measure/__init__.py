"""What a machine does and has: `bench.py` times this engine on it, `doctor/` says what an issue needs to know of it.

Nothing is imported here: a doctor's report must also come where torch cannot be imported.
"""
