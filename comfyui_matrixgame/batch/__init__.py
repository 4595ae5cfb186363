"""Bulk rendering: a job file becomes many rollouts, in this process, on a Ray cluster, or on ComfyUI servers.

job file -> entries (products of lists, never laid out in memory) -> jobs -> engine -> results, named by their last
block -> report, tables, exports. Imports nothing until it is asked to.
"""
