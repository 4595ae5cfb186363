"""The command `matrixgame actions`, in this process."""

from __future__ import annotations

import argparse

from comfyui_matrixgame.terminal.actions import add_parser, run


def call(*words: object) -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    return run(parser.parse_args(["actions", *map(str, words)]))
