"""The tab of the dock that looks for places like those that were clicked."""

from __future__ import annotations

from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QCoreApplication
from qgis.PyQt.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from .click_tool import ClickTool


class SimilarTab(QWidget):
    """Looks at what the map shows first, and at the whole layer if that is asked for.

    Args:
        iface: of QGIS desktop.
    """

    def __init__(self, iface: QgisInterface) -> None:
        super().__init__()
        self._canvas = iface.mapCanvas()
        self.tool = ClickTool(iface)
        self.click = QPushButton(self.tr("Click a place"))
        self.click.setCheckable(True)
        self.click.clicked.connect(self._choose_tool)
        self.whole = QPushButton(self.tr("Search the whole layer"))
        self.whole.clicked.connect(self.tool.search_all)
        text = QLabel(
            self.tr(
                "Where else does the active image series or embedding raster look like there? "
                "Shift adds an example. What the map shows is searched first, and compared with "
                "what is usual there."
            )
        )
        text.setWordWrap(True)
        layout = QVBoxLayout(self)
        for widget in (text, self.click, self.whole):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.tool.activated.connect(lambda: self.click.setChecked(True))
        self.tool.deactivated.connect(lambda: self.click.setChecked(False))
        self.tool.changed.connect(self._show_what_is_left)
        self._show_what_is_left()

    def close_down(self) -> None:
        """Let go of the map: the dock is taken away."""
        self._canvas.unsetMapTool(self.tool)
        self.tool.clear()

    def _choose_tool(self, on: bool) -> None:
        if on:
            self._canvas.setMapTool(self.tool)
        else:
            self._canvas.unsetMapTool(self.tool)

    def _show_what_is_left(self) -> None:
        self.whole.setEnabled(self.tool.can_search_all)

    def tr(self, text: str) -> str:
        """Return `text` in the user's language."""
        return str(QCoreApplication.translate("Alise", text))
