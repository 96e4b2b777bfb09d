"""The Processing provider `alise`."""

from __future__ import annotations

from pathlib import Path

from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from .algorithms.buildtimeseries import BuildTimeSeries
from .algorithms.checkruntime import CheckRuntime
from .algorithms.embed import Embed
from .algorithms.installruntime import InstallRuntime

ICON = Path(__file__).parent / "resources" / "icon.svg"


class AliseProvider(QgsProcessingProvider):
    """Lists the algorithms; all of them, always, so that a model or script can name them."""

    def loadAlgorithms(self) -> None:
        """Add one instance of each algorithm."""
        for algorithm in (BuildTimeSeries, Embed, InstallRuntime, CheckRuntime):
            self.addAlgorithm(algorithm())

    def id(self) -> str:
        """Return the provider's part of `alise:embed`; it never changes."""
        return "alise"

    def name(self) -> str:
        """Return the name that the Toolbox shows."""
        return "ALISE"

    def longName(self) -> str:
        """Return the name in full."""
        return "ALISE (satellite image time series)"

    def icon(self) -> QIcon:
        """Return the icon of the provider and of its algorithms."""
        return QIcon(str(ICON))

    def svgIconPath(self) -> str:
        """Return the path of the icon, for the places that want a file."""
        return str(ICON)
