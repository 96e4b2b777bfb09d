"""What QGIS, its desktop and its command line, asks of a plugin."""

from __future__ import annotations

from pathlib import Path

from qgis.core import QgsApplication

from .provider import AliseProvider
from .runtime import location


class AlisePlugin:
    """Registers the Processing provider; there is no other user interface.

    Args:
        iface: the interface of QGIS desktop, or None under `qgis_process`.
    """

    def __init__(self, iface: object) -> None:
        self.iface = iface
        self.provider: AliseProvider | None = None

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

    def unload(self) -> None:
        """Take the provider out again."""
        if self.provider is not None:
            QgsApplication.processingRegistry().removeProvider(self.provider)
            self.provider = None
