"""Spectral indices, and formulas of bands that users write."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import AliseError
from ...sentinel2 import BANDS

INDICES = {
    "NDVI": "(B08 - B04) / (B08 + B04)",  # Tucker 1979, doi:10.1016/0034-4257(79)90013-0
    "EVI": "2.5 * (B08 - B04) / (B08 + 6 * B04 - 7.5 * B02 + 1)",  # Huete et al. 2002
    "NDWI": "(B03 - B08) / (B03 + B08)",  # McFeeters 1996: open water
    "NDMI": "(B8A - B11) / (B8A + B11)",  # Gao 1996: water in leaves
    "NDRE": "(B8A - B05) / (B8A + B05)",  # Gitelson and Merzlyak 1994
    "NBR": "(B8A - B12) / (B8A + B12)",  # Key and Benson 2006: burnt areas
}

_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


class SpectralIndex:
    """A band, an index by its name, or a formula of bands such as `(B08 - B04) / B05`.

    Attributes:
        name: as it was given; the letters of bands and indices in upper case.

    Raises:
        AliseError: it is none of the three.
    """

    def __init__(self, text: str) -> None:
        self.name = " ".join(text.upper().split())
        formula = INDICES.get(self.name, self.name)
        try:
            self._tree = ast.parse(formula, mode="eval").body
            self._check(self._tree)
        except (SyntaxError, ValueError, RecursionError):
            raise AliseError(
                f'"{text}" is neither a band, an index ({", ".join(INDICES)}) nor a formula of '
                "bands; write a formula as in (B08 - B04) / (B08 + B04)."
            ) from None

    def __call__(self, reflectance: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return the index of reflectance `(..., 10)`; NaN where a band has no value."""
        with np.errstate(all="ignore"):
            values = self._value(self._tree, np.asarray(reflectance, np.float64))
        values = np.broadcast_to(values, reflectance.shape[:-1]).astype(np.float32)
        values[~np.isfinite(values)] = np.nan
        return values

    def _check(self, node: ast.AST) -> None:
        """Raise ValueError unless the formula has bands, numbers, + - * / and brackets alone."""
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            self._check(node.left)
            self._check(node.right)
        elif isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
            self._check(node.operand)
        elif isinstance(node, ast.Name) and node.id in BANDS:
            return
        elif not (isinstance(node, ast.Constant) and type(node.value) in (int, float)):
            raise ValueError

    def _value(self, node: ast.AST, reflectance: NDArray[np.float64]) -> Any:
        if isinstance(node, ast.BinOp):
            left, right = self._value(node.left, reflectance), self._value(node.right, reflectance)
            return _OPERATORS[type(node.op)](left, right)
        if isinstance(node, ast.UnaryOp):
            return _OPERATORS[type(node.op)](self._value(node.operand, reflectance))
        if isinstance(node, ast.Name):
            return reflectance[..., BANDS.index(node.id)]
        assert isinstance(node, ast.Constant)  # nosec B101  # narrows a type
        assert isinstance(node.value, (int, float))  # nosec B101  # narrows a type
        return np.float64(node.value)


def indices_of(text: str) -> list[SpectralIndex]:
    """Return the indices that a text names, separated by commas; each once.

    Raises:
        AliseError: one of them is none, or there is none.
    """
    parts = [part for part in text.split(",") if part.strip()]
    if not parts:
        raise AliseError("No index is given; name one or more, such as NDVI, NBR.")
    found = {index.name: index for index in map(SpectralIndex, parts)}
    return list(found.values())
