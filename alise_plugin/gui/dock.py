"""The ALISE dock of QGIS desktop."""

from __future__ import annotations

from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QCoreApplication, Qt
from qgis.PyQt.QtWidgets import QDockWidget, QTabWidget

from .classes_tab import ClassesTab
from .curve_tab import CurveTab
from .similar_tab import SimilarTab


class AliseDock(QDockWidget):
    """Looks at pixels before anything is run; hidden until the user opens it from the menu.

    Args:
        iface: of QGIS desktop.
    """

    def __init__(self, iface: QgisInterface) -> None:
        super().__init__(QCoreApplication.translate("Alise", "ALISE"), iface.mainWindow())
        self.setObjectName("AliseDock")  # QGIS keeps place and size under it
        self._iface = iface
        self.curve = CurveTab(iface)
        self.tabs = QTabWidget()
        self.tabs.addTab(self.curve, QCoreApplication.translate("Alise", "Curve"))
        self.classes = ClassesTab(iface)
        self.tabs.addTab(self.classes, QCoreApplication.translate("Alise", "Classes"))
        self.similar = SimilarTab(iface)
        self.tabs.addTab(self.similar, QCoreApplication.translate("Alise", "Similar"))
        self.setWidget(self.tabs)
        iface.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, self)
        self.hide()
        self.visibilityChanged.connect(self._rest)
        self.opener = self.toggleViewAction()
        iface.addPluginToRasterMenu("ALISE", self.opener)

    def _rest(self, visible: bool) -> None:
        """Read nothing for a dock that was closed."""
        if not visible and self.isHidden():
            self.curve.stop_reading()

    def stop(self) -> None:
        """Take the dock out of QGIS."""
        self.curve.close_down()
        self.classes.close_down()
        self.similar.close_down()
        self._iface.removePluginRasterMenu("ALISE", self.opener)
        self._iface.removeDockWidget(self)
        self.deleteLater()
