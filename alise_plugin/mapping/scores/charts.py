"""Charts of the accuracy reports, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import html_page

_CELL = 34  # CSS pixels


_LABELS = 150  # CSS pixels beside and below a matrix


_MOST_NUMBERS = 25  # classes; above, cells are too small to write in


_WIDTH, _HEIGHT = 420, 260  # of a curve


_MARGIN = 45


_SQUARE = 380  # side of a scatter plot


_MOST_DOTS = 2000


def confusion_chart(matrix: NDArray[np.number[Any]], names: Sequence[str], caption: str) -> str:
    """Return a figure of a confusion matrix: a cell is as dark as its share of the reference row.

    Args:
        matrix: `(K, K)`, reference in rows.
        names: of the K classes.
        caption: what stands below.
    """
    count = len(names)
    cell = _CELL if count <= _MOST_NUMBERS else max(6, 850 // count)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1e-12)
    side = _LABELS + count * cell
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{side}" height="{side}" '
        'font-family="sans-serif" font-size="11">'
    ]
    for row in range(count):
        label = escape(_short(names[row]))
        middle = row * cell + cell / 2
        parts.append(f'<text x="{_LABELS - 6}" y="{middle + 4}" text-anchor="end">{label}</text>')
        turned = f'transform="translate({_LABELS + middle + 4},{count * cell + 8}) rotate(90)"'
        parts.append(f"<text {turned}>{label}</text>")
        for col in range(count):
            share = float(shares[row, col])
            color = "40,110,60" if row == col else "170,40,40"
            x, y = _LABELS + col * cell, row * cell
            parts.append(
                f'<rect x="{x}" y="{y}" width="{cell}" height="{cell}" stroke="#ddd" '
                f'fill="rgba({color},{share:.3f})"/>'
            )
            if share >= 0.005 and count <= _MOST_NUMBERS:
                ink = "#fff" if share > 0.6 else "#222"
                text = f"{100 * share:.0f}"
                parts.append(
                    f'<text x="{x + cell / 2}" y="{y + cell / 2 + 4}" text-anchor="middle" '
                    f'fill="{ink}">{text}</text>'
                )
    return html_page.drawing("".join([*parts, "</svg>"]), caption)


def _short(name: str) -> str:
    return name if len(name) <= 24 else name[:23] + "…"


def curve_chart(
    points: Sequence[tuple[float, float, float]], x_label: str, y_label: str, caption: str
) -> str:
    """Return a figure of a curve with deviations, x logarithmic, y from 0 to 1.

    Args:
        points: x, y and the deviation of y.
        x_label, y_label: of the axes.
        caption: what stands below.
    """
    xs = np.log([max(point[0], 1e-9) for point in points])
    low, high = float(xs.min()), max(float(xs.max()), float(xs.min()) + 1e-6)

    def x_at(value: float) -> float:
        return _MARGIN + (value - low) / (high - low) * (_WIDTH - 2 * _MARGIN)

    def y_at(value: float) -> float:
        return _HEIGHT - _MARGIN - min(max(value, 0.0), 1.0) * (_HEIGHT - 2 * _MARGIN)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        'font-family="sans-serif" font-size="11">'
    ]
    for level in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = y_at(level)
        parts.append(
            f'<line x1="{_MARGIN}" x2="{_WIDTH - _MARGIN}" y1="{y}" y2="{y}" stroke="#ddd"/>'
            f'<text x="{_MARGIN - 6}" y="{y + 4}" text-anchor="end">{level:g}</text>'
        )
    line = " ".join(f"{x_at(x):.1f},{y_at(point[1]):.1f}" for x, point in zip(xs, points))
    parts.append(f'<polyline points="{line}" fill="none" stroke="#28703c" stroke-width="2"/>')
    for x, (value, mean, deviation) in zip(xs, points):
        at = x_at(float(x))
        parts.append(
            f'<line x1="{at}" x2="{at}" y1="{y_at(mean - deviation)}" '
            f'y2="{y_at(mean + deviation)}" stroke="#28703c"/>'
            f'<circle cx="{at}" cy="{y_at(mean)}" r="3.5" fill="#28703c"/>'
            f'<text x="{at}" y="{_HEIGHT - _MARGIN + 16}" text-anchor="middle">{value:g}</text>'
        )
    parts.append(
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>'
        f'<text transform="translate(12,{_HEIGHT / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text></svg>"
    )
    return html_page.drawing("".join(parts), caption)


def scatter_chart(
    measured: NDArray[np.floating[Any]],
    estimated: NDArray[np.floating[Any]],
    name: str,
    caption: str,
) -> str:
    """Return a figure of estimates against measurements, with the line where both are the same.

    Args:
        measured, estimated: `(N,)`; of more than a few thousand, some are drawn.
        name: of what was measured.
        caption: what stands below.
    """
    if len(measured) > _MOST_DOTS:
        chosen = np.random.default_rng(0).permutation(len(measured))[:_MOST_DOTS]
        measured, estimated = measured[chosen], estimated[chosen]
    both = np.concatenate([measured, estimated]).astype(np.float64)
    low, high = float(both.min()), float(both.max())
    if high == low:
        high = low + (abs(low) or 1.0)
    span = _SQUARE - 2 * _MARGIN
    # As many digits as tell the ends of a narrow range apart.
    digits = 4 + int(np.log10(max(abs(low), abs(high)) / (high - low) + 1))

    def at(value: float) -> float:
        return (value - low) / (high - low) * span

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_SQUARE}" height="{_SQUARE}" '
        'font-family="sans-serif" font-size="11">'
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y, text = (
            _MARGIN + share * span,
            _SQUARE - _MARGIN - share * span,
            low + share * (high - low),
        )
        parts.append(
            f'<line x1="{_MARGIN}" x2="{_SQUARE - _MARGIN}" y1="{y}" y2="{y}" stroke="#ddd"/>'
            f'<text x="{_MARGIN - 6}" y="{y + 4}" text-anchor="end">{text:.{digits}g}</text>'
            f'<text x="{x}" y="{_SQUARE - _MARGIN + 16}" text-anchor="middle">'
            f"{text:.{digits}g}</text>"
        )
    parts.append(
        f'<line x1="{_MARGIN}" y1="{_SQUARE - _MARGIN}" x2="{_SQUARE - _MARGIN}" y2="{_MARGIN}" '
        'stroke="#999" stroke-dasharray="4 3"/>'
    )
    for x, y in zip(measured, estimated):
        parts.append(
            f'<circle cx="{_MARGIN + at(float(x)):.1f}" '
            f'cy="{_SQUARE - _MARGIN - at(float(y)):.1f}" r="2.5" fill="#28703c" '
            'fill-opacity="0.5"/>'
        )
    label = escape(_short(name))
    parts.append(
        f'<text x="{_SQUARE / 2}" y="{_SQUARE - 8}" text-anchor="middle">{label}, measured</text>'
        f'<text transform="translate(12,{_SQUARE / 2}) rotate(-90)" text-anchor="middle">'
        f"{label}, estimated</text></svg>"
    )
    return html_page.drawing("".join(parts), caption)
