"""Bulk rendering: a job file becomes many rollouts, in this process, on a Ray cluster, or on ComfyUI servers.

job file -> products (of lists, never laid out in memory) -> jobs -> backend -> results, named by their last
block -> report, tables, exports. Imports nothing until it is asked to.
"""
