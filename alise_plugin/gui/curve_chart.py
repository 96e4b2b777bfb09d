"""A chart of curves over time, drawn by Qt itself.

Neither pyqtgraph nor matplotlib comes with every QGIS from 3.22 to 4 (Debian's python3-qgis depends
on neither of them), and what is needed here is a line, points and two axes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray
from qgis.PyQt.QtCore import QPoint, QPointF, QRect, QRectF, QSize, Qt, pyqtSignal
from qgis.PyQt.QtGui import (
    QColor,
    QImage,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
    QWheelEvent,
)
from qgis.PyQt.QtSvg import QSvgGenerator
from qgis.PyQt.QtWidgets import QWidget

_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 24, 26  # pixels around the plot
_DOT = 3.5  # pixels: radius of an observation
_CLICK = 4  # pixels that a mouse may move between press and release of a click
_ZOOM = 1.25
_SHORTEST = 14.0  # days that the chart shows at least
_TICKS = (1, 2, 5)  # of values, times a power of ten
_MONTHS = (1, 2, 3, 6, 12, 24, 60)  # from one tick of time to the next
_GAP = 16  # pixels between two labels of time
_YEAR = 366
_PICTURE = QSize(1200, 600)
_LIGHT = QColor("#ffffff"), QColor("#303030")


@dataclass(frozen=True)
class ChartCurve:
    """A curve with its observations.

    Attributes:
        name: for the legend.
        color: of line and points.
        days: `(N,)` ordinals of the line's days, as `date.toordinal` counts.
        line: `(N,)` its values; NaN leaves a gap.
        seen_days: `(T,)` ordinals of the observations.
        seen: `(T,)` their values.
        unlike: `(T,)` whether they are unlike the curve; then the point is hollow.
        marks: ordinals and letters of days that are marked at the line.
    """

    name: str
    color: str
    days: NDArray[np.int64]
    line: NDArray[np.float32]
    seen_days: NDArray[np.int64]
    seen: NDArray[np.float32]
    unlike: NDArray[np.bool_]
    marks: Sequence[tuple[int, str]] = ()


class CurveChart(QWidget):
    """Curves over time: the wheel zooms, a drag moves, a double click shows all again.

    Signals:
        day_clicked: the day that was clicked, as a `date`.
    """

    day_clicked = pyqtSignal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumSize(240, 160)
        self._curves: list[ChartCurve] = []
        self._title = ""
        self._folded = False
        self._day: date | None = None
        self._span = (0.0, 1.0)
        self._pressed: QPoint | None = None
        self._moved = False

    def show_curves(self, curves: Sequence[ChartCurve], title: str, folded: bool) -> None:
        """Show curves.

        Args:
            curves: may be none.
            title: of the values.
            folded: whether all years lie on one another.
        """
        before = self._whole()
        self._curves, self._title, self._folded = list(curves), title, folded
        if self._whole() != before:
            self._span = self._whole()
        self.update()

    def show_day(self, day: date | None) -> None:
        """Draw a line at a day, or none."""
        self._day = day
        self.update()

    @property
    def span(self) -> tuple[float, float]:
        """Return the first and the last day that are shown: ordinals, or days of a year."""
        return self._span

    def position_of(self, day: date, value: float) -> QPoint:
        """Return where a day and a value lie in the widget."""
        plot = self._plot(self.rect())
        x = self._x(np.array([day.toordinal()]))[0]
        return QPointF(self._across(plot, x), self._up(plot, value)).toPoint()

    def save(self, path: str) -> bool:
        """Write the chart as SVG if the name ends so, otherwise as an image; whether it worked."""
        whole = QRect(QPoint(0, 0), _PICTURE)
        if path.lower().endswith(".svg"):
            generator = QSvgGenerator()
            generator.setFileName(path)
            generator.setSize(_PICTURE)
            generator.setViewBox(whole)
            painter = QPainter(generator)
            if not painter.isActive():
                return False
            self._draw(painter, whole, *_LIGHT)
            return bool(painter.end())
        image = QImage(_PICTURE, QImage.Format.Format_ARGB32)
        painter = QPainter(image)
        self._draw(painter, whole, *_LIGHT)
        painter.end()
        return bool(image.save(path))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        palette = self.palette()
        self._draw(painter, self.rect(), palette.base().color(), palette.text().color())
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._pressed, self._moved = event.pos(), False

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._pressed is None:
            return
        moved = event.pos() - self._pressed
        if self._moved or moved.manhattanLength() > _CLICK:
            self._moved = True
            self._pressed = event.pos()
            low, high = self._span
            days = moved.x() * (high - low) / max(1.0, self._plot(self.rect()).width())
            self._span = (low - days, high - days)
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        clicked = self._pressed is not None and not self._moved
        self._pressed = None
        if clicked and self._curves and not self._folded:
            ordinal = round(self._day_at(event.pos().x()))
            self.day_clicked.emit(date.fromordinal(max(1, ordinal)))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._span = self._whole()
        self.update()

    def wheelEvent(self, event: QWheelEvent) -> None:
        factor = 1 / _ZOOM if event.angleDelta().y() > 0 else _ZOOM
        low, high = self._span
        middle = self._day_at(event.position().x())
        if factor > 1 or high - low > _SHORTEST:
            self._span = (middle + (low - middle) * factor, middle + (high - middle) * factor)
        self.update()
        event.accept()

    def _whole(self) -> tuple[float, float]:
        if self._folded:
            return (1.0, float(_YEAR))
        days = [day for curve in self._curves for day in (*curve.days, *curve.seen_days)]
        return (float(min(days)), float(max(days)) + 1) if days else (0.0, 1.0)

    def _x(self, days: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return where ordinals lie on the axis of time."""
        if not self._folded:
            return days.astype(np.float64)
        return np.array([date.fromordinal(int(day)).timetuple().tm_yday for day in days], float)

    def _plot(self, whole: QRect) -> QRectF:
        return QRectF(whole.adjusted(_LEFT, _TOP, -_RIGHT, -_BOTTOM))

    def _across(self, plot: QRectF, x: float) -> float:
        low, high = self._span
        return float(plot.left() + (x - low) / (high - low) * plot.width())

    def _up(self, plot: QRectF, value: float) -> float:
        low, high = self._values()
        return float(plot.bottom() - (value - low) / (high - low) * plot.height())

    def _day_at(self, x: float) -> float:
        plot = self._plot(self.rect())
        low, high = self._span
        return float(low + (x - plot.left()) / max(1.0, plot.width()) * (high - low))

    def _values(self) -> tuple[float, float]:
        """Return the ends of the axis of values: those of lines and of observations like them."""
        parts = [curve.line for curve in self._curves]
        parts += [curve.seen[~curve.unlike] for curve in self._curves]
        values = np.concatenate(parts) if parts else np.empty(0)
        values = values[np.isfinite(values)]
        if not len(values):
            return (0.0, 1.0)
        margin = max(0.01, 0.08 * float(np.ptp(values)))
        return (float(values.min()) - margin, float(values.max()) + margin)

    def _draw(self, painter: QPainter, whole: QRect, paper: QColor, ink: QColor) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(whole, paper)
        plot = self._plot(whole)
        if not self._curves:
            painter.setPen(ink)
            painter.drawText(QRectF(whole), Qt.AlignmentFlag.AlignCenter, self._title)
            return
        self._draw_axes(painter, plot, ink)
        self._draw_legend(painter, plot, ink)
        painter.setClipRect(plot)
        for curve in self._curves:
            self._draw_curve(painter, plot, curve)
        if self._day is not None:
            x = self._across(plot, self._x(np.array([self._day.toordinal()]))[0])
            painter.setPen(QPen(QColor("#d22d2d"), 1, Qt.PenStyle.DashLine))
            painter.drawLine(QPointF(x, plot.top()), QPointF(x, plot.bottom()))

    def _draw_axes(self, painter: QPainter, plot: QRectF, ink: QColor) -> None:
        faint = QColor(ink)
        faint.setAlpha(50)
        right, centre = Qt.AlignmentFlag.AlignRight, Qt.AlignmentFlag.AlignHCenter
        middle = Qt.AlignmentFlag.AlignVCenter
        for value, label in _value_ticks(*self._values()):
            y = self._up(plot, value)
            painter.setPen(faint)
            painter.drawLine(QPointF(plot.left(), y), QPointF(plot.right(), y))
            painter.setPen(ink)
            painter.drawText(QRectF(0, y - 9, _LEFT - 6, 18), right | middle, label)
        label_width = painter.fontMetrics().boundingRect("2019-12").width() + _GAP
        ticks = max(1, int(plot.width() / label_width))
        for x, label in _time_ticks(*self._span, ticks, self._folded):
            across = self._across(plot, x)
            painter.setPen(faint)
            painter.drawLine(QPointF(across, plot.top()), QPointF(across, plot.bottom()))
            painter.setPen(ink)
            painter.drawText(QRectF(across - 40, plot.bottom() + 4, 80, 18), centre, label)
        painter.drawRect(plot)

    def _draw_legend(self, painter: QPainter, plot: QRectF, ink: QColor) -> None:
        painter.setPen(ink)
        metrics = painter.fontMetrics()
        x, y = plot.left(), _TOP - 8
        painter.drawText(QPointF(x, y), self._title)
        x += metrics.boundingRect(self._title).width() + 16
        for curve in self._curves:
            painter.setPen(QPen(QColor(curve.color), 2))
            painter.drawLine(QPointF(x, y - 4), QPointF(x + 14, y - 4))
            painter.setPen(ink)
            painter.drawText(QPointF(x + 18, y), curve.name)
            x += metrics.boundingRect(curve.name).width() + 34

    def _draw_curve(self, painter: QPainter, plot: QRectF, curve: ChartCurve) -> None:
        color = QColor(curve.color)
        x = self._x(curve.days)
        for part in _unbroken(x, curve.line):
            points = [
                QPointF(self._across(plot, x[n]), self._up(plot, curve.line[n])) for n in part
            ]
            painter.setPen(QPen(color, 2))
            painter.drawPolyline(QPolygonF(points))
        painter.setPen(QPen(color, 1.2))
        seen_x = self._x(curve.seen_days)
        for day, value, unlike in zip(seen_x, curve.seen, curve.unlike):
            if np.isfinite(value):
                painter.setBrush(Qt.BrushStyle.NoBrush if unlike else color)
                place = QPointF(self._across(plot, day), self._up(plot, value))
                painter.drawEllipse(place, _DOT, _DOT)
        for ordinal, letter in curve.marks:
            if curve.days[0] <= ordinal <= curve.days[-1]:
                value = float(np.interp(ordinal, curve.days, curve.line))
                across = self._across(plot, self._x(np.array([ordinal]))[0])
                up = self._up(plot, value)
                painter.drawLine(QPointF(across, up - 9), QPointF(across, up + 9))
                painter.drawText(QPointF(across + 3, max(up - 8, plot.top() + 12)), letter)


def _unbroken(x: NDArray[np.float64], line: NDArray[np.float32]) -> Iterator[NDArray[np.intp]]:
    """Yield the places of parts of a line without a gap or a step back in time (a new year)."""
    known = np.flatnonzero(np.isfinite(line))
    breaks = np.flatnonzero((np.diff(known) > 1) | (np.diff(x[known]) < 0)) + 1
    for part in np.split(known, breaks):
        if len(part) > 1:
            yield part


def _value_ticks(low: float, high: float) -> Iterator[tuple[float, str]]:
    """Yield about five round values between two, with their labels."""
    power = 10.0 ** math.floor(math.log10((high - low) / 5))
    step = next((n * power for n in _TICKS if n * power >= (high - low) / 6), 10 * power)
    digits = max(0, -math.floor(math.log10(step)))
    for number in range(math.ceil(low / step), math.floor(high / step) + 1):
        yield number * step, f"{number * step:.{digits}f}"


def _time_ticks(low: float, high: float, most: int, folded: bool) -> Iterator[tuple[float, str]]:
    """Yield first days of months on the axis of time, with their labels, at most so many."""
    if folded:
        low, high = low + date(2019, 12, 31).toordinal(), high + date(2019, 12, 31).toordinal()
    first = date.fromordinal(max(1, math.floor(low)))
    months = (high - low) / 30.4
    step = next((n for n in _MONTHS if months / n <= most), _MONTHS[-1])
    number = (first.year * 12 + first.month - 1) // step * step
    while True:
        tick = date(number // 12, number % 12 + 1, 1)
        number += step
        if tick.toordinal() > high:
            return
        if tick.toordinal() < low:
            continue
        if folded:
            yield tick.toordinal() - date(2019, 12, 31).toordinal(), tick.strftime("%m-%d")
        else:
            yield tick.toordinal(), str(tick.year) if step >= 12 else f"{tick:%Y-%m}"
