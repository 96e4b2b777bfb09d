"""The Processing provider `alise`."""

from __future__ import annotations

from pathlib import Path

from qgis.core import QgsApplication, QgsProcessingModelAlgorithm, QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from .algorithms import checkruntime, installruntime
from .algorithms.base import OperationAlgorithm
from .algorithms.network import send_by_qgis
from .operations.catalogue import OPERATIONS
from .sits.area.transport import use_transport

ICON = Path(__file__).parent / "resources" / "icon.svg"
MODELS = Path(__file__).parent / "resources" / "models"
MODEL_TITLES = {"changebetweenfolders": "Change between two folders of scenes"}


class BundledModel(QgsProcessingModelAlgorithm):
    """A model file; it shows a title, where QGIS would show the model's name for scripts."""

    def displayName(self) -> str:
        """Return what the Toolbox shows."""
        return str(MODEL_TITLES.get(self.name(), self.name()))

    def createInstance(self) -> BundledModel:
        """Return a copy, which QGIS runs."""
        copy = BundledModel()
        copy.loadVariant(self.toVariant())
        return copy

    def groupId(self) -> str:
        """Return the id of the group."""
        return "models"

    def icon(self) -> QIcon:
        """Return the icon of the provider."""
        return QIcon(str(ICON))


class AliseProvider(QgsProcessingProvider):
    """Lists the algorithms; all of them, always, so that a model or script can name them."""

    def loadAlgorithms(self) -> None:
        """Add one instance of each algorithm; all send their requests as QGIS does."""
        use_transport(send_by_qgis)
        set_up = (installruntime.OPERATION, checkruntime.OPERATION)
        for operation in (*OPERATIONS.values(), *set_up):
            self.addAlgorithm(OperationAlgorithm(operation))
        # A model is read with the algorithms that it names, which the registry knows only once
        # the provider is in it: see `AlisePlugin.initProcessing`.
        if QgsApplication.processingRegistry().providerById(self.id()) is not None:
            for path in sorted(MODELS.glob("*.model3")):
                model = BundledModel()
                if model.fromFile(str(path)):
                    self.addAlgorithm(model)

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
