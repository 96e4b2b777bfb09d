"""A window of QGIS desktop for docks, and waiting for what happens in it."""

import time
from types import SimpleNamespace

LONGEST = 60  # seconds that a task may take


class Interface:
    """A window of QGIS desktop with a map, as far as a dock sees it."""

    def __init__(self):
        from qgis.gui import QgsMapCanvas
        from qgis.PyQt.QtWidgets import QMainWindow

        self.window = QMainWindow()
        self.canvas = QgsMapCanvas()
        self.window.setCentralWidget(self.canvas)
        self.window.resize(1000, 800)
        self.active, self.menu = None, []

    def mapCanvas(self):
        return self.canvas

    def mainWindow(self):
        return self.window

    def activeLayer(self):
        return self.active

    def messageBar(self):
        return SimpleNamespace(pushMessage=lambda *given: None)

    def addDockWidget(self, area, dock):
        self.window.addDockWidget(area, dock)

    def removeDockWidget(self, dock):
        self.window.removeDockWidget(dock)

    def addPluginToRasterMenu(self, name, action):
        self.menu.append((name, action))

    def removePluginRasterMenu(self, name, action):
        self.menu.remove((name, action))


def settle():
    from qgis.PyQt.QtWidgets import QApplication

    for _ in range(5):
        QApplication.processEvents()
        time.sleep(0.01)


def wait(until):
    from qgis.PyQt.QtWidgets import QApplication

    end = time.monotonic() + LONGEST
    while not until() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)
    assert until()
