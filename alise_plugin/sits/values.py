"""Scale, offset and nodata of every band: stated by its product, by the user, or judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeVar

import numpy as np
from osgeo import gdal

from ..errors import SeriesError
from .network import is_remote
from .no_value import image_fill, zeros_are_missing
from .rasters import is_integer
from .sampled_images import DARK_BANDS, DARKEST, OFFSET_SINCE, SampledImage, sampled_values
from .sources.record import SourceBand
from .statements import (
    BRIGHT_HALF,
    DN_SCALE,
    OFFSET,
    OFFSET_BLACK,
    OFFSET_DARK,
    Statement,
    StatementCheck,
    are_no_dn,
    doubts_of_given,
    some,
)
from .vrt.layers import Layer

_Item = TypeVar("_Item")
_MAX_REFLECTANCE = 2.0  # bright cloud and glint pass 1.0; nothing natural passes this
_SURELY_DN = 200.0  # whole numbers beyond it are no reflectance, nor per cent of it
_BRIGHTEST = 99.0  # per cent of the values of a band, of which some pixels more have no value
_BLACK_DN, _DARK_DN = OFFSET_BLACK / DN_SCALE, OFFSET_DARK / DN_SCALE
_SAMPLED_BANDS = 20  # bands of a file that the scale is judged on
_SAMPLED_IMAGES = 40  # images that are asked whether they hold an offset
_SAMPLED_DAYS = 4  # days that are asked whether integers are DN
_DIM = 0.08  # reflectance that a hundredth of them passes on land; water may not


@dataclass(frozen=True)
class _Darkness:
    """DN of the darkest pixels of an image, in the band where they are lowest, and highest."""

    record: SourceBand
    lowest: float
    highest: float

    @property
    def shows_no_offset(self) -> bool:
        return self.lowest < _BLACK_DN

    @property
    def may_hold_offset(self) -> bool:
        return not self.shows_no_offset and self.highest < _DARK_DN


class Values:
    """Settles the values of the bands of a series.

    `notes` say what was found, `warnings` what the user should look at.

    Args:
        scale: reflectance per raw unit, of all files whose product states nothing.
        offset: reflectance of the raw value 0, of the same.
        nodata: raw value without meaning, of the same.
        check: called often while pixels are looked at; may raise to stop.
    """

    def __init__(
        self,
        scale: float | None,
        offset: float | None,
        nodata: float | None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._scale = scale
        self._offset = offset
        self._nodata = nodata
        self._check = check
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def settle(self, records: Sequence[SourceBand]) -> list[Layer]:
        """Return a layer for every record, in their order.

        Raises:
            SeriesError: the values may be read in two ways, or in none.
        """
        records = self._with_fills(records)
        unstated = [r for r in records if r.scale is None] if self._scale is None else []
        judged = self._judge(unstated)
        hidden = False
        if self._offset is None and self._scale in (None, DN_SCALE):
            dn = [
                r
                for r in records
                if r.scale is None and judged.get(is_integer(r.dtype), self._scale) == DN_SCALE
            ]
            hidden = self._hidden_offset(dn)
            self._warn_of_offset_in_floats(
                [r for r in unstated if judged.get(is_integer(r.dtype)) == 1]
            )
        checked = StatementCheck(self._scale, self._offset, self._check)(records)
        self.warnings += checked.warnings
        self.notes += checked.notes
        layers = []
        for index, record in enumerate(records):
            change = checked.changed.get(index)
            if hidden and record.scale is None and record.may_hold_offset:
                change = Statement(DN_SCALE, OFFSET)
            layers.append(self._layer(record, judged, change))
        if self._scale is not None or self._offset is not None:
            self._check_given(layers)
        self._note_stated([item for n, item in enumerate(layers) if n not in checked.changed])
        return self._with_zeros(layers)

    def _check_given(self, layers: Sequence[Layer]) -> None:
        """Warn where the pixels contradict the scale or offset that the user gives."""
        images: dict[tuple[object, ...], SampledImage] = {}
        for layer in layers:
            source = layer.source
            if not source.certain:
                key = (source.day, source.product.scene, layer.scale, layer.offset)
                image = images.setdefault(key, SampledImage(layer.scale, layer.offset))
                image.records.append(source)
        self._check()
        self.warnings += doubts_of_given(list(images.values()))

    def _with_fills(self, records: Sequence[SourceBand]) -> list[SourceBand]:
        """Return the records, with the value that an image plainly holds for none."""
        images: dict[tuple[object, ...], list[int]] = {}
        for index, record in enumerate(records):
            if record.nodata is None and self._nodata is None and not is_remote(record.path):
                left, _, _, top = record.grid.extent  # parts of a day's mosaic differ in place
                key = (record.day, record.product.scene, round(left), round(top))
                images.setdefault(key, []).append(index)
        filled = list(records)
        names: dict[float, set[str]] = {}
        for image in images.values():
            self._check()
            fill = image_fill([records[index] for index in image])
            for index in image if fill is not None else ():
                names.setdefault(float(fill or 0), set()).add(records[index].name)
                filled[index] = replace(records[index], nodata=fill, declared=False)
        for fill, of in names.items():
            self.notes.append(
                f"{fill:g} stands for no value in {some(of)}: along its edges all bands hold it."
            )
        return filled

    def _with_zeros(self, layers: Sequence[Layer]) -> list[Layer]:
        """Return the layers, and of which images 0 is no value besides what they declare."""
        images: dict[tuple[date, str, float], list[Layer]] = {}
        for layer in layers:
            if layer.nodata != 0:
                key = (layer.source.day, layer.source.product.scene, layer.scale)
                images.setdefault(key, []).append(layer)
        found: dict[int, Layer] = {}
        names = set()
        for image in images.values():
            self._check()
            if zeros_are_missing([layer.source for layer in image]):
                names.add(image[0].source.name)
                found.update((id(layer), replace(layer, zero_is_missing=True)) for layer in image)
        if names:
            self.notes.append(
                f"0 stands for no value in {some(names)}: along its edges all bands hold it."
            )
        return [found.get(id(layer), layer) for layer in layers]

    def _layer(
        self, record: SourceBand, judged: dict[bool, float], checked: Statement | None
    ) -> Layer:
        # What a product's own metadata state is not for the user to override: the word that is
        # meant for plain files would change the product beside them.
        scale = None if record.certain else self._scale
        offset = None if record.certain else self._offset
        nodata = None if record.certain else self._nodata
        if checked is not None:
            scale, offset = checked.scale, checked.offset
        # Sentinel-2 products keep DN 0 for "no value" and rarely declare it.
        raw = record.nodata if nodata is None else nodata
        if raw is None:
            raw = 0.0 if is_integer(record.dtype) else np.nan
        layer = Layer(
            record,
            nodata=float(raw),
            scale=_first(scale, record.scale, judged.get(is_integer(record.dtype))),
            offset=_first(offset, record.offset, 0.0),
        )
        # 10000 and -1000 are what divides DN and is added to them. A VRT cannot state a scale of 1.
        unscaled = is_integer(record.dtype) and (layer.scale, layer.offset) == (1.0, 0.0)
        if unscaled or not (0 < layer.scale <= 1 and abs(layer.offset) <= 1):
            raise SeriesError(
                f"With scale {layer.scale:g} and offset {layer.offset:g} the values of "
                f"{record.name} are no reflectance; give SCALE and OFFSET, the reflectance per "
                "unit and that of the raw value 0 (0.0001 and -0.1, for example)."
            )
        return layer

    def _note_stated(self, layers: Sequence[Layer]) -> None:
        stated: dict[tuple[float, float], set[str]] = {}
        for layer in layers:
            if layer.source.scale is not None:
                key = (round(layer.scale, 9), round(layer.offset, 6))
                stated.setdefault(key, set()).add(layer.source.name)
        for (scale, offset), names in sorted(stated.items()):
            self.notes.append(f"Scale {scale:g} and offset {offset:g}, as stated by {some(names)}.")
        if self._scale is not None or self._offset is not None:
            self.notes.append("Scale or offset were given by the user for files of no product.")

    def _judge(self, records: Sequence[SourceBand]) -> dict[bool, float]:
        """Return the scale of integer records (key True) and of floating-point ones (key False).

        Integers beyond 2 are DN; floating-point values up to 2 are reflectance, and whole numbers
        far beyond are DN that a program has stored as floating point. A dark or empty file says
        nothing alone, so each of the two kinds is judged as a whole.

        Raises:
            SeriesError: the values are neither.
        """
        judged = {}
        integers = [record for record in records if is_integer(record.dtype)]
        if integers:
            byte = next((r for r in integers if r.dtype == gdal.GDT_Byte), None)
            if byte is not None:
                raise SeriesError(
                    f"{byte.name} holds bytes (0 to 255), as pictures do and images of reflectance "
                    "do not; take it out, or give SCALE, the reflectance per unit."
                )
            proof = next((r for r in integers if self._highest(r) > _MAX_REFLECTANCE), None)
            if proof is None:
                raise SeriesError(
                    f"{integers[0].name} holds integers that do not pass 2 where they were looked "
                    "at, so they may be anything; give the scale (0.0001 for DN = reflectance x "
                    "10000)."
                )
            self._refuse_implausible(integers)
            judged[True] = DN_SCALE
            self.notes.append(
                f"Scale 0.0001: the integers beyond 2 in {some({r.name for r in integers})} are "
                "taken as DN = reflectance x 10000."
            )
        floats = [record for record in records if not is_integer(record.dtype)]
        whole, highest, bright, brightest = True, -np.inf, -np.inf, None
        for record in _some_per_file(floats):
            self._check()
            values = sampled_values(record)
            whole = whole and bool((values == np.rint(values)).all())
            if not values.size:
                continue
            highest = max(highest, float(values.max()))
            # A few pixels of 3.28 or 6.55 were "no value" before somebody scaled them.
            if np.percentile(values, _BRIGHTEST) > bright:
                bright, brightest = float(np.percentile(values, _BRIGHTEST)), record
        if not floats:
            return judged
        if highest > _SURELY_DN and whole:
            judged[False] = DN_SCALE
            self.notes.append(
                f"Scale 0.0001: the whole numbers up to {highest:.0f}, in floating point, in "
                f"{some({r.name for r in floats})} are taken as DN = reflectance x 10000."
            )
        elif bright > _MAX_REFLECTANCE and brightest is not None:
            raise SeriesError(
                f"{brightest.name} holds floating-point values up to {highest:.6g}, which are not "
                "reflectance (0 to 1); give the scale (0.0001 for DN = reflectance x 10000), or "
                "NODATA if the highest value stands for none."
            )
        else:
            judged[False] = 1.0
            self.notes.append(
                f"Scale 1: the floating-point values up to {highest:.3g} in "
                f"{some({r.name for r in floats})} are taken as reflectance."
            )
        return judged

    def _highest(self, record: SourceBand) -> float:
        """Return the highest of the sampled values of a record; -inf where all are nodata."""
        self._check()
        return float(sampled_values(record).max(initial=-np.inf))

    def _refuse_implausible(self, records: Sequence[SourceBand]) -> None:
        """Raise where integers, taken as DN, are too bright or too dark for a landscape.

        Days are judged by the middle one of a few, which is not the one with the most cloud. Too
        dark is only what is brighter in the infrared than in red, which water is not.
        """
        halves, tops, lands, wild = [], [], [], []
        days = sorted({record.day for record in records})
        for day in _spread(days, _SAMPLED_DAYS):
            of_day = _spread([record for record in records if record.day == day], _SAMPLED_BANDS)
            self._check()
            values = [sampled_values(record) for record in of_day]
            together = np.concatenate(values)
            if not together.size:
                continue
            half, top = np.percentile(together, (50, 99)) * DN_SCALE
            halves.append(half)
            tops.append(top)
            middles = {r.band: np.median(part) for r, part in zip(of_day, values) if part.size}
            infrared = middles.get("B08", middles.get("B8A", 0.0))
            red = middles.get("B04", np.inf)
            lands.append(bool(infrared > red))
            wild.append(are_no_dn(float(infrared) * DN_SCALE, float(red) * DN_SCALE))
        if not tops:
            return
        half, top = np.median(halves), np.median(tops)
        dim = top < _DIM and np.mean(lands) > 0.5
        if dim or np.mean(wild) > 0.5 or half > BRIGHT_HALF or top > _MAX_REFLECTANCE:
            raise SeriesError(
                f"The integers of {some({r.name for r in records})} are not DN = reflectance x "
                f"10000, by which half of their values would pass a reflectance of {half:.3g} and "
                f"one in a hundred {top:.3g}; give SCALE, the reflectance per unit, or NODATA if "
                "the highest value stands for none."
            )

    def _darkness(self, records: Sequence[SourceBand], unit: float) -> list[_Darkness]:
        """Return how dark some of the images are, spread over them; `unit` is DN per raw unit."""
        images: dict[tuple[date, str], list[SourceBand]] = {}
        for record in records:
            if record.band in DARK_BANDS:
                images.setdefault((record.day, record.product.scene), []).append(record)
        found = []
        for group in _spread(list(images.values()), _SAMPLED_IMAGES):
            darkest = []
            for record in group:
                self._check()
                values = sampled_values(record)
                if values.size:
                    darkest.append(float(np.percentile(values, DARKEST)) * unit)
                if darkest and darkest[-1] < _BLACK_DN:
                    break  # the others cannot change what it shows
            if darkest:
                found.append(_Darkness(group[0], min(darkest), max(darkest)))
        return found

    def _hidden_offset(self, records: Sequence[SourceBand]) -> bool:
        """Whether DN of baselines from 04.00 on hold BOA_ADD_OFFSET, as their darkest pixels show.

        Raises where DN look as if they held it, and no baseline says so.

        Images since 2022-01-25, or of a baseline that has it, must show that they do not, or most
        of them. Others that may, being processed again or hazy, are named in the log.
        """
        kinds: tuple[list[SourceBand], list[SourceBand]] = [], []
        for r in records:
            kinds[r.day >= OFFSET_SINCE or r.may_hold_offset].append(r)
        older, recent = (self._darkness(kind, 1.0) for kind in kinds)
        without = [image for image in (*recent, *older) if image.shows_no_offset]
        suspects = [image for image in recent if image.may_hold_offset]
        hazy = [image for image in older if image.may_hold_offset]
        clear = sum(image.shows_no_offset for image in recent)
        if not clear:
            suspects += [image for image in recent if not image.may_hold_offset]
        elif clear > len(suspects):  # a few among many are hazy rather than of another kind
            hazy, suspects = suspects + hazy, []
        if without and suspects:
            raise SeriesError(
                f"The DN of {without[0].record.name} go down to {without[0].lowest:.0f} and those "
                f"of {suspects[0].record.name} begin at {suspects[0].lowest:.0f}, so that some may "
                "hold the offset of 1000 of products since 2022-01-25 and some not; build one "
                "series of each kind, with offset 0 and -0.1, and then one series of both."
            )
        # Who writes an item takes its pixels as they are; a file may bear a product's name only.
        items = [image.record.product.kind == "STAC" for image in suspects]
        if suspects and all(items) and all(image.record.may_hold_offset for image in suspects):
            self.warnings.append(
                f"The DN of {some({image.record.name for image in suspects})} begin at "
                f"{min(image.lowest for image in suspects):.0f}, and their processing baseline "
                "adds 1000, so the offset is taken as -0.1; give OFFSET 0 if it has been "
                "subtracted already."
            )
            return True
        if suspects:
            raise SeriesError(
                f"The DN of {suspects[0].record.name} and of all that follow begin at "
                f"{suspects[0].lowest:.0f}, as in products since 2022-01-25 that hold an offset of "
                "1000; give the offset (-0.1 if they do, 0 if these images are only bright)."
            )
        if without:
            self.notes.append(
                f"Offset 0: DN go down to {without[0].lowest:.0f} in {without[0].record.name}, "
                "below the 1000 that products with an offset begin at."
            )
        if not hazy:
            return False
        text = (
            f"The DN of {some({image.record.name for image in hazy})} begin at "
            f"{hazy[0].lowest:.0f}, as in haze, or in products that hold an offset of 1000; "
            "they are read without it"
        )
        if without:
            self.notes.append(f"{text}, as the others are, so build them apart if they hold it.")
        else:
            self.warnings.append(f"{text}, so give an offset of -0.1 if they hold it.")
        return False

    def _warn_of_offset_in_floats(self, records: Sequence[SourceBand]) -> None:
        """Warn where all reflectance begins as if BOA_ADD_OFFSET had never been taken off."""
        images = self._darkness(records, 1 / DN_SCALE)
        suspects = [image for image in images if image.may_hold_offset]
        if suspects and not any(image.shows_no_offset for image in images):
            first = suspects[0]
            self.warnings.append(
                f"The reflectance of {first.record.name} and of all others begins at "
                f"{first.lowest * DN_SCALE:.2f}, as where the offset of products since 2022-01-25 "
                "was never taken off; if so, give an offset of -0.1."
            )


def _first(*values: float | None) -> float:
    return next(float(value) for value in values if value is not None)


def _spread(items: Sequence[_Item], count: int) -> Sequence[_Item]:
    """Return some `count` of the items, at even steps."""
    return items[:: max(1, len(items) // count)]


def _some_per_file(records: Sequence[SourceBand]) -> list[SourceBand]:
    """Return at most _SAMPLED_BANDS records of each file, spread over its bands."""
    by_file: dict[str, list[SourceBand]] = {}
    for record in records:
        by_file.setdefault(record.file, []).append(record)
    return [record for group in by_file.values() for record in _spread(group, _SAMPLED_BANDS)]
