"""Errors a user can act on. Each message is one sentence or two: what is wrong, and what to do."""

from __future__ import annotations


class MatrixGameError(Exception):
    """Base of every error this package raises on purpose."""


class CheckpointError(MatrixGameError):
    """A weights file is missing, damaged, of another model, or incomplete."""


class ActionError(MatrixGameError):
    """Inputs (keys, camera) that cannot be used."""


class ImageError(MatrixGameError):
    """A start image or clip that cannot be used."""


class WorldError(MatrixGameError):
    """A World that does not fit the models or the inputs it is used with, or a damaged World file."""


class VideoError(MatrixGameError):
    """A video that cannot be read or written."""


class TargetError(MatrixGameError):
    """A place for results that cannot be written, or that holds something of the user's."""


class BackendError(MatrixGameError):
    """An attention backend, device or dtype that was asked for and is not available here."""


class BatchError(MatrixGameError):
    """A job file that cannot be used, or bulk rendering that cannot go on."""


class DatasetError(MatrixGameError):
    """A dataset, or a clip of one, that cannot be used."""


class VariantError(MatrixGameError):
    """A description of a game variant that cannot be used."""


class Interrupted(MatrixGameError):
    """The user asked to stop; what was finished before is kept."""
