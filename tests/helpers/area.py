"""Runs of "Series of an area" on the server of `stac_server`."""

from alise_plugin import open_series, run
from tests.helpers.stac_server import COLLECTION, bbox

SHARE = (0.3, 0.3, 0.5, 0.5)  # of the tile that the area covers


class Log:
    """Feedback that remembers, and may cancel."""

    def __init__(self, cancel_at=2.0):
        self.lines, self.warnings, self.fractions, self.cancel_at = [], [], [], cancel_at

    def progress(self, fraction):
        self.fractions.append(fraction)

    def cancelled(self):
        return bool(self.fractions) and self.fractions[-1] >= self.cancel_at

    def info(self, text):
        self.lines.append(text)

    def warning(self, text):
        self.warnings.append(text)


def area(share=SHARE):
    west, south, east, north = bbox()
    width, height = east - west, north - south
    return (
        west + share[0] * width,
        south + share[1] * height,
        west + share[2] * width,
        south + share[3] * height,
    )


def get(server, folder, feedback=None, name="series", **more):
    given = {
        "AREA": area(),
        "START": "2023-01-01",
        "END": "2023-12-31",
        "SERVICE": "other",
        "ADDRESS": server.api,
        "COLLECTION": COLLECTION,
        "FOLDER": folder / "images",
        "OUTPUT": folder / f"{name}.vrt",
    }
    return run("seriesofarea", feedback=feedback, **{**given, **more})


def pixels(path):
    with open_series(path) as series:
        return series.dates, series.read_all(series.grid.window)
