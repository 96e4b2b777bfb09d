"""Parameters and outputs that several operations have, and what their values become."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from typing import TypeVar

from ..errors import LabelsError, SeriesError
from ..feedback import Feedback
from ..mapping.features.features import Features
from ..mapping.features.series_features import SeriesFeatures
from ..mapping.features.source import open_features
from ..mapping.features.tiling import TileBudget
from ..mapping.samples.groups import VALIDATIONS
from ..mapping.samples.samples import SampleDesign
from ..model.device import DEVICES
from ..model.encoder import Encoder
from ..model.package import BUNDLED_MODEL, PRECISIONS, load_package
from ..sits.build import build_series
from ..sits.grid import Grid
from .parameters import (
    ONNX,
    WEB_PAGE,
    Choice,
    Extent,
    File,
    FileOutput,
    Folder,
    Labels,
    Number,
    Output,
    Rasters,
    Vector,
)
from .values import Given, Layer, Raster

Read = TypeVar("Read")


INPUT = Rasters(
    "INPUT",
    "Image series or embedding raster",
    "An image series (see Build image series), or an embedding raster that was made with the same "
    "model.",
    required=True,
    mostly_one=True,
)
TRAINING_INPUT = Rasters(
    "INPUT",
    "Image series or embedding rasters",
    "One image series or embedding raster for each area or year to learn from.",
    required=True,
    mostly_one=True,
)
MODEL = Folder(
    "MODEL",
    "Model folder (empty: the bundled model)",
    "Folder of the model package that encodes an image series. The bundled model is used if it is "
    "empty.",
)
EXTENT = Extent(
    "EXTENT",
    "Extent (empty: all)",
    "Part of the input to work on, in any coordinate reference system in QGIS and in that of the "
    "input on the command line. All of it if it is empty.",
)
DEVICE = Choice(
    "DEVICE",
    "Device",
    "Where the model runs. auto takes the GPU if onnxruntime can use it, and the CPU if not.",
    advanced=True,
    options=DEVICES,
    labels={
        "auto": "GPU if there is one, otherwise CPU",
        "cpu": "CPU",
        "cuda": "GPU (CUDA)",
    },
)
PRECISION = Choice(
    "PRECISION",
    "Precision (float16: for a GPU, within 1 %)",
    "Number format that the model computes in. float16 is faster on a GPU and within 1 % of "
    "float32; on a CPU it gains nothing.",
    advanced=True,
    options=PRECISIONS,
    labels={
        "float32": "32 bits (float32)",
        "float16": "16 bits, faster on a GPU (float16)",
    },
)
THREADS = Number(
    "THREADS",
    "CPU threads (0: all cores)",
    "Number of CPU threads that the model may use. 0 stands for all cores.",
    advanced=True,
    optional=True,
    default=0,
    minimum=0,
    integer=True,
)
MEMORY = Number(
    "MEMORY",
    "Memory to use at most, in MB",
    "Memory in MB that the run may take beside the program itself. The result does not depend on "
    "it.",
    advanced=True,
    optional=True,
    default=2048,
    minimum=256,
    integer=True,
)
TILE_SIZE = Number(
    "TILE_SIZE",
    "Tile size in pixels (0: as the memory allows)",
    "Side of the tiles that are read at once. 0 makes them as large as the memory allows; the "
    "result does not depend on it.",
    advanced=True,
    optional=True,
    default=0,
    minimum=0,
    integer=True,
)
RUNTIME = (DEVICE, PRECISION, THREADS)
ENGINE = (*RUNTIME, MEMORY, TILE_SIZE)
SEED = Number(
    "SEED",
    "Seed of the random choices",
    "Number that random choices start from. The same seed gives the same result.",
    advanced=True,
    default=0,
    minimum=0,
    maximum=2**31 - 1,
    integer=True,
)
VALIDATION = Choice(
    "VALIDATION",
    "Leave out for validation",
    "What is left out at once to see how well the head does on what it has not seen: polygons, "
    "one by one, or square blocks, for polygons that lie close together.",
    options=VALIDATIONS,
    labels={
        "polygons": "Polygons, one by one",
        "blocks": "Square blocks",
    },
)
BLOCK_SIZE = Number(
    "BLOCK_SIZE",
    "Side of the blocks in m",
    "Side of the blocks that are left out together, in metres. A polygon belongs to the block of "
    "its middle.",
    advanced=True,
    default=1000,
    minimum=1,
)
SAMPLES = Number(
    "SAMPLES",
    "Pixels of one polygon at most",
    "Largest number of pixels that one polygon gives. More pixels of one polygon tell little more.",
    advanced=True,
    default=20,
    minimum=1,
    integer=True,
)
HEAD_OUTPUT = FileOutput(
    "HEAD",
    "Head",
    "ONNX file that holds what was learned, for the operation that maps it.",
    required=True,
    suffixes=ONNX,
    contents="a head is an ONNX file",
)
REPORT = FileOutput(
    "REPORT",
    "Accuracy report",
    "Web page with the figures, their intervals and charts.",
    suffixes=WEB_PAGE,
    contents="a report is a web page",
    by_default=True,
)
HEAD = File(
    "HEAD",
    "Head",
    "ONNX file with what was learned.",
    required=True,
    suffixes=ONNX,
)
MASK = Vector(
    "MASK",
    "Map these polygons only",
    "Polygons outside of which nothing is mapped, in any coordinate reference system.",
)
DEVICE_USED = Output("DEVICE_USED", "Device used", "text")
MODEL_ID = Output("MODEL_ID", "Model", "text")

HOW_TO_TRAIN = (VALIDATION, BLOCK_SIZE, SAMPLES, SEED, *ENGINE, HEAD_OUTPUT, REPORT)
"""What training a head takes after its labels, whatever it learns."""


def load_encoder_of(given: Given) -> Callable[[], Encoder]:
    """Return what opens the encoder that MODEL, DEVICE, PRECISION and THREADS ask for."""

    def load() -> Encoder:
        package = load_package(given["MODEL"] or BUNDLED_MODEL)
        return Encoder(package, given["DEVICE"], given["THREADS"] or None, given["PRECISION"])

    return load


def budget_of(given: Given) -> TileBudget:
    """Return the memory and tile size that MEMORY and TILE_SIZE allow."""
    return TileBudget(given["MEMORY"], given["TILE_SIZE"] or None)


def sample_design_of(given: Given) -> SampleDesign:
    """Return how SAMPLES, VALIDATION, BLOCK_SIZE and SEED choose pixels and groups."""
    return SampleDesign(
        per_area=given["SAMPLES"],
        validation=given["VALIDATION"],
        block_size=given["BLOCK_SIZE"],
        seed=given["SEED"],
    )


@contextmanager
def opened(
    rasters: Sequence[Raster], dates: Sequence[date], given: Given, feedback: Feedback
) -> Iterator[Features]:
    """Open one image series or embedding raster; build a temporary series of anything else.

    Args:
        rasters: one series, one embedding raster, a stack, or one raster per date.
        dates: of rasters that do not say theirs.
        given: names the model.
        feedback: told if a series has to be built.

    Raises:
        SeriesError: nothing was given, or it makes no series.
    """
    if not rasters:
        raise SeriesError("No raster was given: choose an image series.")
    load = load_encoder_of(given)
    paths = list(dict.fromkeys(raster.path for raster in rasters))  # variables of one cube
    with ExitStack() as stack:
        features: Features | None = None
        if len(paths) == 1 and not dates:
            try:
                features = open_features(paths[0], load)
            except SeriesError:
                # Not yet a series; what makes one of it says best what is wrong with it.
                feedback.info("Building an image series of the input.")
        if features is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="alise-"))
            path = os.path.join(folder, "series.vrt")
            series = build_series(paths, path, dates=list(dates) or None)
            features = SeriesFeatures(series, load)
        yield features


@contextmanager
def opened_with_labels(
    given: Given, feedback: Feedback, read: Callable[[Layer, list[Grid]], Read]
) -> Iterator[tuple[list[tuple[Features, Read]], int]]:
    """Open each raster of INPUT with what LABELS has on it.

    Args:
        given: INPUT, LABELS and the model.
        feedback: told if a series has to be built.
        read: takes a layer, and the grids that it is for.

    Yields:
        Features with what was read, and the number of layers that were read.

    Raises:
        LabelsError: there are neither as many layers in LABELS as in INPUT nor one for all.
        SeriesError: a raster makes no series.
    """
    rasters, layers = given["INPUT"], given["LABELS"]
    if len(layers) not in (1, len(rasters)):
        raise LabelsError(
            f"There are {len(rasters)} layers in INPUT and {len(layers)} in LABELS; choose as "
            "many labels as inputs, in the same order, or one for all."
        )
    with ExitStack() as stack:
        sources = [stack.enter_context(opened([raster], (), given, feedback)) for raster in rasters]
        grids = [source.grid for source in sources]
        near = [grids] if len(layers) == 1 else [[grid] for grid in grids]
        found = [read(layer, around) for layer, around in zip(layers, near)]
        yield list(zip(sources, found * (len(sources) // len(found)))), len(found)


def labels_parameter(title: str, help: str) -> Labels:
    """Return LABELS with texts of its own."""
    return Labels("LABELS", title, help, required=True)
