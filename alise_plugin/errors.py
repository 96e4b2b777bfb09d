"""What a user can get wrong, said in one sentence; every room raises these and no others."""


class AliseError(Exception):
    """A mistake or a limit that one sentence explains: what is wrong, where, and what to do."""


class SeriesError(AliseError):
    """The rasters given do not make an image series (date, band, grid, scale or CRS)."""


class ModelPackageError(AliseError):
    """A model package is incomplete, altered, or newer than this plugin."""


class HeadError(AliseError):
    """A head is no head, or does not belong to these features."""


class LabelsError(AliseError):
    """The labels cannot be used: their field, classes, geometry, CRS or place."""


class RuntimeMissingError(AliseError):
    """onnxruntime, or the device asked for, is not there."""


class OutputError(AliseError):
    """An output cannot be written (folder, permission, full disk)."""


class Cancelled(AliseError):
    """The user stopped the run; nothing is left under the output's name."""


OUT_OF_MEMORY = (
    "The machine has less memory left than this run takes; choose a smaller MEMORY or TILE_SIZE, "
    "or close other programs."
)
"""What a user reads where Python finds no more memory."""
