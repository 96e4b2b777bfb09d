"""What an algorithm says that runs as a task."""

from __future__ import annotations

from qgis.core import QgsProcessingFeedback


class KeptFeedback(QgsProcessingFeedback):
    """Keeps the last error, which the task only logs."""

    def __init__(self) -> None:
        super().__init__(False)
        self.error = ""

    def reportError(self, error: str, fatalError: bool = False) -> None:
        self.error = error
        super().reportError(error, fatalError)
