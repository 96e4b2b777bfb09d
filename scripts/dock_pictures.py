"""Pictures of the ALISE dock for the docs: python -m scripts.dock_pictures FOLDER [--data FOLDER].

The dock is opened in a window of QGIS and clicked as a user clicks it, on the site of
`scripts.real_site`: two pixels for the curves, five classes for the map. Writes dock_curve.png and
dock_classes.png.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QGIS_CUSTOM_CONFIG_PATH", tempfile.mkdtemp(prefix="alise-"))

from qgis.core import QgsApplication, QgsPointXY, QgsProject, QgsRasterLayer

from alise_plugin.mapping.embedding.embed import embed
from alise_plugin.mapping.features.source import open_features
from alise_plugin.mapping.rasters.natural_color import natural_color
from scripts.real_site import CLEAR, PROJECT, SITE, series_of
from tests.helpers.desktop import Interface, settle, wait

PIXELS = ((12, 12), (33, 10))  # column and row
EXAMPLES = (
    ((12, 12), (20, 6)),
    ((33, 10), (35, 20)),
    ((44, 10), (56, 16)),
    ((58, 36),),
    ((40, 44),),
)


def main() -> None:
    """Open the dock, click and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, default=PROJECT.parent / "shared" / "data")
    given = parser.parse_args()
    application = QgsApplication([], True)
    application.initQgis()
    with tempfile.TemporaryDirectory() as scratch:
        with series_of(given.data / SITE, Path(scratch)) as series:
            path, shown = series.path, series.dates.index(CLEAR[0])
        embed(open_features(path), Path(scratch) / "embedding.tif")
        draw(path, shown, str(Path(scratch) / "embedding.tif"), given.folder)
    os._exit(0)  # QGIS closes datasets of GDAL twice where Python ends


def draw(series: str, shown: int, embedding: str, folder: Path) -> None:
    """Write both pictures; the map shows an acquisition of the series in natural colour."""
    from alise_plugin.gui.dock import AliseDock

    interface = Interface()
    layer, vectors = QgsRasterLayer(series, "series"), QgsRasterLayer(embedding, "embedding")
    QgsProject.instance().addMapLayers([layer, vectors])
    show_natural_color(layer, shown)
    interface.canvas.setDestinationCrs(layer.crs())
    interface.canvas.setLayers([layer])
    interface.canvas.setExtent(layer.extent())
    interface.window.resize(1200, 900)
    interface.window.show()
    dock = AliseDock(interface)
    dock.show()
    settle()

    def point(place: tuple[int, int]) -> QgsPointXY:
        extent = layer.extent()
        return QgsPointXY(
            extent.xMinimum() + 10 * place[0] + 5, extent.yMaximum() - 10 * place[1] - 5
        )

    interface.active = layer
    for number, place in enumerate(PIXELS):
        dock.curve.look_at(point(place), more=number > 0)
        wait(lambda: dock.curve._task is None)
    save(interface, folder / "dock_curve.png", lambda: dock.curve._task is None)
    interface.active = vectors
    dock.tabs.setCurrentWidget(dock.classes)
    settle()
    for examples in EXAMPLES:
        dock.classes.add.click()
        for place in examples:
            dock.classes.add_example(point(place))
    save(interface, folder / "dock_classes.png", lambda: dock.classes._task is None)


def show_natural_color(layer: QgsRasterLayer, shown: int) -> None:
    """Show one acquisition in natural colour."""
    path = f"{layer.source()}.qml"
    Path(path).write_text(f"<qgis>{natural_color(shown)}</qgis>")
    layer.loadNamedStyle(path)


def save(interface: Interface, path: Path, ready: Callable[[], bool]) -> None:
    """Write the window as it is once all is drawn."""
    time.sleep(0.5)
    settle()
    wait(ready)
    settle()
    interface.window.grab().save(str(path))


if __name__ == "__main__":
    main()
