"""`python -m training evaluate`: one command, one set of tables."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from alise_plugin.errors import AliseError
from alise_plugin.model.encoder import Encoder, load_encoder
from alise_plugin.model.package import ModelPackage, load_package
from alise_plugin.sentinel2 import BANDS
from training.arguments import existing, positive
from training.export.command import untrained
from training.export.package import write_package
from training.files import write_file
from training.models.checkpoint import load_alise
from training.pretext.normalise import EUROPE

from . import arkansas, features, months, places, reconstruction, report, robustness, simulated
from .held_out import (
    ELSEWHERE,
    SNOWY_WINTER,
    RealSeries,
    elsewhere_series,
    held_out_series,
    read_fields,
)

AT_ONCE = "ALISE, all dates at once"
PROJECT = Path(__file__).resolve().parents[2]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--model", type=Path, default=PROJECT / "models" / "alise-s2")
    parser.add_argument("--data", type=Path, default=PROJECT.parent / "shared" / "data")
    parser.add_argument("--pixels", type=positive, default=None, help="of Arkansas; all by default")
    parser.add_argument("--malice", type=existing, help="malice_s2.onnx of the peer's repository")
    parser.add_argument("--presto", type=existing, help="checkout of the peer's repository")
    parser.add_argument("--places", type=Path, help="folder that `gather` wrote: a fifth measure")
    parser.add_argument("--measures", default="1234", help="which of the four to run")
    parser.add_argument("--threads", type=positive, default=None)
    parser.add_argument(
        "--checkpoints",
        type=Path,
        nargs="+",
        help="only compare these model files by measures 1 and 2",
    )
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument(
        "--write", action="store_true", help="put the tables into MODEL_CARD.md and docs/results.md"
    )


def run(args: argparse.Namespace) -> int:
    """Run the measures asked for and print their tables.

    Raises:
        AliseError: a measure is none of the four, or what it needs is not there.
    """
    if strange := set(args.measures) - set("1234"):
        raise AliseError(f"There is no measure {' '.join(sorted(strange))}; write some of 1234.")
    if args.checkpoints:
        print(checkpoints_table(args))
        return 0
    package = load_package(str(args.model))
    encoder = Encoder(package, device="cpu", threads=args.threads)
    sections: list[str] = [f"Model: {package.model_id}."]
    figures: dict[str, object] = {"model": package.model_id}
    if "1" in args.measures:
        sections.append(reconstruction_table(encoder, args.data, figures))
        sections.append(months_table(encoder, args.data, figures))
        sections.append(snow_table(encoder, args.data, figures))
    if "2" in args.measures:
        sections.append(arkansas_table(package, encoder, args, figures))
    if "3" in args.measures:
        sections.append(simulated.table(encoder, figures))
    if "4" in args.measures:
        sections.append(robustness_table(encoder, args, figures))
    if args.places:
        sections.append(places_table(package, encoder, args, figures))
    text = "\n\n".join(sections)
    print(text)
    if args.json:
        write_file(args.json, json.dumps(figures, indent=1).encode())
    if args.write:
        for path in (args.model / "MODEL_CARD.md", PROJECT / "docs" / "results.md"):
            report.write_between_marks(path, text)
    return 0


def reconstruction_table(encoder: Encoder, data: Path, figures: dict[str, object]) -> str:
    """Return measure 1: RMSE of hidden clear dates on real sites never trained on."""
    sites = held_out_series(data)
    rows = reconstruction_rows(encoder, sites)
    figures["reconstruction"] = rows
    names = ", ".join(site.name for site in sites)
    header = ["hidden", "method", "RMSE", "ratio to linear", "NDVI", *BANDS]
    return (
        f"**1. Hidden clear dates of real sites never trained on** ({names}): RMSE of reflectance, "
        "bands pooled, and of NDVI. ALISE decodes a day from the acquisitions of the year around "
        f'it, as Reconstruct images does; "{AT_ONCE}" encodes the whole series.\n\n'
        + report.table(header, rows)
    )


def months_table(encoder: Encoder, data: Path, figures: dict[str, object]) -> str:
    """Return measure 1 by month, on its sites and on places elsewhere."""
    predictors = {
        "ALISE": reconstruction.from_the_year_around(encoder),
        "linear": reconstruction.linear,
    }
    sites = [*held_out_series(data), *elsewhere_series(data)]
    rows = months.rows(
        hidden
        for number, site in enumerate(sites)
        for hidden in months.hidden_dates(site, predictors, seed=number)
    )
    figures["months"] = rows
    names = ", ".join(Path(file).stem for file in ELSEWHERE)
    return (
        f"**1 by month**, those sites and others never trained on ({names}): RMSE of "
        "reflectance, every hidden date counted alike, ratio to linear interpolation with its 95 % "
        "interval (days of a set drawn anew).\n\n" + report.table(months.HEADER, rows)
    )


def snow_table(encoder: Encoder, data: Path, figures: dict[str, object]) -> str:
    """Show in how many decoded days of each month a model invents snow."""
    sites = {
        "never trained on": [*held_out_series(data), *elsewhere_series(data)],
        f"{Path(SNOWY_WINTER).stem}, trained on": read_fields(data / SNOWY_WINTER),
    }
    rows = [[name, *months.invented_snow(encoder, of_name)] for name, of_name in sites.items()]
    figures["invented snow"] = rows
    return (
        "**1, invented snow**: share of pixels whose 15th of the month, decoded from everything "
        "that was seen, is snow by its colour. Snow is no target, so there should be none.\n\n"
        + report.table(["series", *(name[:3] for name in months.MONTHS)], rows)
    )


def reconstruction_rows(encoder: Encoder, sites: Sequence[RealSeries]) -> list[list[str | float]]:
    """Return a row for each gap and method: name, RMSE, ratio to linear, NDVI, ten bands."""
    predictors = {
        "ALISE": reconstruction.from_the_year_around(encoder),
        AT_ONCE: reconstruction.decoded(encoder),
        "linear": reconstruction.linear,
        "harmonic": reconstruction.harmonic,
    }
    errors: dict[tuple[str, int], reconstruction.SquaredErrors] = {}
    for site in sites:
        reconstruction.evaluate_site(site.reflectance, site.clear, site.days, predictors, errors)
    rows: list[list[str | float]] = []
    for gap in reconstruction.GAPS_DAYS:
        base = errors["linear", gap].rmse
        for name in predictors:
            rmse = errors[name, gap].rmse
            mean = float(np.sqrt(np.nanmean(rmse[:-1] ** 2)))
            ratio = mean / float(np.sqrt(np.nanmean(base[:-1] ** 2)))
            rows.append([f"{gap} d", name, mean, ratio, float(rmse[-1])])
            rows[-1] += [float(value) for value in rmse[:-1]]
    return rows


def arkansas_table(
    package: ModelPackage, encoder: Encoder, args: argparse.Namespace, figures: dict[str, object]
) -> str:
    """Return measure 2: crop pixels of Arkansas."""
    data = arkansas.load(args.data / "evaluation" / "crop_pixels_arkansas.npz", args.pixels)
    methods: dict[str, features.Features] = {"gap-filled raw series": features.gap_filled}
    if args.presto:
        methods["Presto"] = features.presto(args.presto, data.lonlat[:, ::-1])
    if args.malice:
        methods["MALICE-S2"] = features.malice(
            args.malice, package.median, package.q05, package.q95
        )
    methods["ALISE, untrained"] = features.checkpoint(untrained("bundled"))
    rows = [[name, *arkansas.score(data, method)] for name, method in methods.items()]
    ours = features.alise(encoder)(data.reflectance, data.days)
    rows.append(["ALISE, bundled", *arkansas.score_vectors(data, ours)])
    rows.append(["ALISE, int8", *arkansas.score_vectors(data, features.in_one_byte(ours))])
    if package.compact:
        compact = features.compact(encoder, ours)
        rows.append([f"ALISE, compact {compact.shape[1]}", *arkansas.score_vectors(data, compact)])
    figures["arkansas"] = rows
    return (
        f"**2. Crop pixels of Arkansas, 2021** ({len(data.labels)} pixels, 5 classes, northern "
        "quarter held out): macro-F1 of logistic regression.\n\n"
        + report.table(["features", "all labels", "10 a class"], rows)
    )


class CheckpointScores:
    """Measures 1 and 2 of model files of training, without exporting anything for good.

    In measure 2 each pixel is seen as a constant image.

    Args:
        data: the folder of the real series.
        pixels: of Arkansas; all if None.
        threads: of the encoder.
    """

    def __init__(self, data: Path, pixels: int | None, threads: int | None) -> None:
        self.crops = arkansas.load(data / "evaluation" / "crop_pixels_arkansas.npz", pixels)
        self.sites = held_out_series(data)
        self.threads = threads

    def row(self, path: Path) -> list[float]:
        """RMSE over that of linear interpolation at 30, 60, 90 days; macro-F1 of all labels, 10."""
        model, _ = load_alise(path)
        scores = arkansas.score(self.crops, features.checkpoint(model))
        statistics = np.stack([EUROPE.median, EUROPE.q05, EUROPE.q95])
        with tempfile.TemporaryDirectory() as folder:
            write_package(
                model, Path(folder), name="trial", version="0", statistics=statistics, card="none"
            )
            encoder = load_encoder(folder, device="cpu", threads=self.threads)
            found = reconstruction_rows(encoder, self.sites)
        # The network by itself, as the tables of what was tried have it.
        ratios = [float(row[3]) for row in found if row[1] == AT_ONCE and row[0] != "0 d"]
        return [*ratios, *scores]


def checkpoints_table(args: argparse.Namespace) -> str:
    """Measures 1 and 2 of model files of training: the curve of a run, or trials side by side."""
    scores = CheckpointScores(args.data, args.pixels, args.threads)
    raw = arkansas.score(scores.crops, features.gap_filled)
    rows: list[list[str | float]] = [["gap-filled raw series", "", "", "", *raw]]
    rows += [[str(path), *scores.row(path)] for path in args.checkpoints]
    header = ["model file", "30 d", "60 d", "90 d", "all labels", "10 a class"]
    return report.table(header, rows)


def robustness_table(encoder: Encoder, args: argparse.Namespace, figures: dict[str, object]) -> str:
    """Return measure 4: measure 2 with fewer bands and dates."""
    whole = arkansas.load(args.data / "evaluation" / "crop_pixels_arkansas.npz", args.pixels)
    ours = features.alise(encoder)
    rows = []
    for name, reduce in robustness.REDUCTIONS.items():
        data = reduce(whole)
        rows.append([name, *arkansas.score(data, features.gap_filled), *arkansas.score(data, ours)])
    figures["robustness"] = rows
    header = ["series", "raw, all labels", "raw, 10 a class", "ALISE, all", "ALISE, 10 a class"]
    return (
        f"**4. Pixels of measure 2, seen worse** ({len(whole.labels)} pixels).\n\n"
        + report.table(header, rows)
    )


def places_table(
    package: ModelPackage, encoder: Encoder, args: argparse.Namespace, figures: dict[str, object]
) -> str:
    """Return measure 5: ten labels a class in other places."""
    sets = places.load(args.places)
    ours = features.alise(encoder)
    methods: dict[str, Callable[[places.Place], np.ndarray]] = {
        "gap-filled raw series": places.by_season
    }
    if args.malice:
        peer = features.malice(args.malice, package.median, package.q05, package.q95)
        methods["MALICE-S2"] = places.one_by_one(peer)
    methods["ALISE, bundled"] = places.one_by_one(ours)
    rows: list[list[str | float]] = []
    for name, vectors in methods.items():
        scores = [places.ten_labels(vectors(place), place.labels) for place in sets]
        rows.append([name, *scores, float(np.mean(scores))])
    figures["places"] = rows
    header = ["features", *(f"{s.name}{' (*)' if s.trained_on else ''}" for s in sets), "mean"]
    sizes = ", ".join(
        f"{place.name}: {len(place.labels)} pixels of {len(np.unique(place.labels))} classes"
        for place in sets
    )
    return (
        f"**5. Other places, ten labels a class** ({sizes}; macro-F1 of all other pixels, mean of "
        f"{places.DRAWS} draws; (*) the model may have trained on these series without labels).\n\n"
        + report.table(header, rows)
    )
