"""Classes and examples that the user makes in the dock, with a way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeature,
    QgsField,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsVectorFileWriter,
    QgsVectorLayer,
)

from ..algorithms.compat import FIELD_INTEGER, FIELD_TEXT
from ..errors import LabelsError, OutputError
from ..mapping.rasters.destinations import require_replaceable

FIELDS = ("class", "name", "color")
_MOST_STEPS = 100  # that can be undone


@dataclass(frozen=True)
class LiveClass:
    """A class: its code on a map, its name and its colour ("#rrggbb")."""

    code: int
    name: str
    color: str


@dataclass(frozen=True)
class Example:
    """A place of a class: the code, and x and y in the CRS of the raster."""

    code: int
    x: float
    y: float


@dataclass(frozen=True)
class _State:
    classes: tuple[LiveClass, ...] = ()
    examples: tuple[Example, ...] = ()


@dataclass
class ClassExamples:
    """Classes with their examples; each change can be undone."""

    _state: _State = field(default_factory=_State)
    _before: list[_State] = field(default_factory=list)

    @property
    def classes(self) -> tuple[LiveClass, ...]:
        """Return the classes, in the order in which they were made."""
        return self._state.classes

    @property
    def examples(self) -> tuple[Example, ...]:
        """Return the examples, in the order in which they were made."""
        return self._state.examples

    @property
    def can_undo(self) -> bool:
        """Return whether there is a change to undo."""
        return bool(self._before)

    def count(self, code: int) -> int:
        """Return the number of examples of a class."""
        return sum(example.code == code for example in self.examples)

    def add_class(self, name: str, color: str) -> int:
        """Add a class; return its code."""
        code = max((one.code for one in self.classes), default=0) + 1
        self._change((*self.classes, LiveClass(code, name, color)), self.examples)
        return code

    def change_class(self, changed: LiveClass) -> None:
        """Give the class of a code another name or colour."""
        classes = [changed if one.code == changed.code else one for one in self.classes]
        self._change(classes, self.examples)

    def merge(self, codes: Sequence[int]) -> None:
        """Make the first of some classes of all of them."""
        kept, gone = codes[0], set(codes[1:])
        examples = [replace(one, code=kept) if one.code in gone else one for one in self.examples]
        self._change([one for one in self.classes if one.code not in gone], examples)

    def remove(self, codes: Sequence[int]) -> None:
        """Remove classes with their examples."""
        self._change(
            [one for one in self.classes if one.code not in codes],
            [one for one in self.examples if one.code not in codes],
        )

    def add(self, example: Example) -> None:
        """Add an example."""
        self._change(self.classes, (*self.examples, example))

    def undo(self) -> None:
        """Take the last change back."""
        if self._before:
            self._state = self._before.pop()

    def _change(self, classes: Sequence[LiveClass], examples: Sequence[Example]) -> None:
        self._before = [*self._before, self._state][-_MOST_STEPS:]
        self._state = _State(tuple(classes), tuple(examples))

    def layer(self, crs: QgsCoordinateReferenceSystem) -> QgsVectorLayer:
        """Return the examples as a layer of points, with code, name and colour of the class."""
        layer = QgsVectorLayer("Point", "examples", "memory")
        layer.setCrs(crs)
        provider = layer.dataProvider()
        kinds = (FIELD_INTEGER, FIELD_TEXT, FIELD_TEXT)
        provider.addAttributes([QgsField(name, kind) for name, kind in zip(FIELDS, kinds)])
        layer.updateFields()
        by_code = {one.code: one for one in self.classes}
        for example in self.examples:
            one = by_code[example.code]
            feature = QgsFeature(layer.fields())
            feature.setGeometry(QgsGeometry.fromPointXY(QgsPointXY(example.x, example.y)))
            feature.setAttributes([one.code, one.name, one.color])
            provider.addFeature(feature)
        return layer

    def save(self, path: str, crs: QgsCoordinateReferenceSystem) -> None:
        """Write the examples as a GeoPackage.

        Raises:
            OutputError: it cannot be written, or holds other layers.
        """
        require_replaceable(path, "examples")
        options = QgsVectorFileWriter.SaveVectorOptions()
        options.driverName, options.layerName = "GPKG", "examples"
        context = QgsProject.instance().transformContext()
        problem = QgsVectorFileWriter.writeAsVectorFormatV3(self.layer(crs), path, context, options)
        if problem[0] != QgsVectorFileWriter.WriterError.NoError:
            raise OutputError(f"{path} cannot be written ({problem[1]}): choose another name.")

    def load(self, path: str, crs: QgsCoordinateReferenceSystem) -> None:
        """Take the place of all classes and examples by those of a file that `save` wrote.

        Raises:
            LabelsError: it has no such fields, or no points.
        """
        layer = QgsVectorLayer(path, "examples", "ogr")
        if not layer.isValid() or not set(FIELDS) <= {one.name() for one in layer.fields()}:
            raise LabelsError(
                f"{path} is no layer of examples with the fields {', '.join(FIELDS)}: choose one "
                "that was saved here."
            )
        way = QgsCoordinateTransform(layer.crs(), crs, QgsProject.instance())
        classes: dict[int, LiveClass] = {}
        examples: list[Example] = []
        for feature in layer.getFeatures():
            code, name, color = (feature[key] for key in FIELDS)
            if feature.geometry().isEmpty() or not isinstance(code, int):
                continue
            classes[code] = LiveClass(code, str(name), str(color))
            point = way.transform(feature.geometry().pointOnSurface().asPoint())
            examples.append(Example(code, point.x(), point.y()))
        if not examples:
            raise LabelsError(f"{path} holds no example: choose another file.")
        self._change(list(classes.values()), examples)
