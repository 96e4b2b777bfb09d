"""What QGIS, its desktop and its command line, asks of a plugin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QCoreApplication
from qgis.PyQt.QtGui import QIcon

from .provider import ICON, AliseProvider
from .runtime import location

if TYPE_CHECKING:
    from qgis.gui import QgisInterface

    from .gui.click_tool import ClickTool
    from .gui.dock import AliseDock
    from .gui.temporal_series import TemporalSeries

MENU = "ALISE"


class AlisePlugin:
    """Registers the Processing provider and, in QGIS desktop, a map tool.

    Args:
        iface: the interface of QGIS desktop, or None under `qgis_process`.
    """

    def __init__(self, iface: QgisInterface | None) -> None:
        self.iface = iface
        self.provider: AliseProvider | None = None
        self._take_away: Callable[[], None] | None = None
        self._series: TemporalSeries | None = None
        self._dock: AliseDock | None = None

    def initProcessing(self) -> None:
        """Make the runtime importable and add the provider (all that `qgis_process` calls)."""
        location.activate(location.runtime_folder(Path(QgsApplication.qgisSettingsDirPath())))
        provider = AliseProvider()
        # QGIS refuses, logs and deletes a second one, of a copy of the plugin in another folder.
        if QgsApplication.processingRegistry().addProvider(provider):
            self.provider = provider
            provider.refreshAlgorithms()  # now with the models, which name its algorithms

    def initGui(self) -> None:
        """Start in QGIS desktop."""
        self.initProcessing()
        if self.iface is not None:
            from .gui.dock import AliseDock
            from .gui.temporal_series import TemporalSeries

            self._dock = AliseDock(self.iface)
            self._take_away = _add_click_tool(self.iface, self._dock.similar.tool)
            self._series = TemporalSeries(self.iface.mapCanvas())

    def unload(self) -> None:
        """Take everything out again."""
        if self._take_away is not None:
            self._take_away()
            self._take_away = None
        if self._dock is not None:
            self._dock.stop()
            self._dock = None
        if self._series is not None:
            self._series.stop()
            self._series = None
        if self.provider is not None:
            QgsApplication.processingRegistry().removeProvider(self.provider)
            self.provider = None


def _add_click_tool(iface: QgisInterface, tool: ClickTool) -> Callable[[], None]:
    """Put the tool into the toolbar and the Raster menu; returns what takes it away."""
    # Windows and their parts: not there under qgis_process.
    from qgis.PyQt.QtWidgets import QAction

    canvas = iface.mapCanvas()
    text = QCoreApplication.translate("Alise", "Find similar places by a click")
    action = QAction(QIcon(str(ICON)), text, iface.mainWindow())
    action.setToolTip(
        QCoreApplication.translate(
            "Alise",
            "Click on a place: where else does the active image series or embedding raster look "
            "like there? Shift adds an example.",
        )
    )
    action.setCheckable(True)
    tool.setAction(action)
    action.triggered.connect(lambda: canvas.setMapTool(tool))
    iface.addToolBarIcon(action)
    iface.addPluginToRasterMenu(MENU, action)

    def take_away() -> None:
        canvas.unsetMapTool(tool)
        tool.clear()
        iface.removeToolBarIcon(action)
        iface.removePluginRasterMenu(MENU, action)
        action.deleteLater()  # the main window would keep it

    return take_away
