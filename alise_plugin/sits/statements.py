"""Holds what files state of their values against their darkest and brightest pixels.

Catalogues and tags are often wrong by the offset of 1000 that products since 2022 hold, or keep a
scale that was applied long ago. A statement that is plausible stays as it is. One that the pixels
contradict is corrected and said; one that they only make doubtful is warned of; where two readings
are as likely as each other, the user is asked.

What decides: water, shadow and leaves are nearly black in B02, B03 and B04, so an image whose
darkest hundredth is at 0.1 in all three, and in the infrared, holds the offset, or haze; haze does
not reach B11 and B12. And no tenth of an image lies far below black.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from ..errors import SeriesError
from .no_value import FULL, is_hidden
from .rasters import is_integer, open_raster, read_bands
from .sources.record import SourceBand

DARK_BANDS = ("B02", "B03", "B04")
"""Bands in which water, shadow or leaves are nearly black."""
OFFSET_SINCE = date(2022, 1, 25)
"""First day of processing baseline 04.00, whose DN = 10000 x reflectance + 1000."""
OFFSET = -0.1
"""Reflectance of the raw value 0 where DN hold the offset of 1000."""
OFFSET_BLACK = 0.09
"""Black with the offset, less what the correction of the atmosphere overshoots."""
OFFSET_DARK = 0.15
"""Leaves, water and shadow with the offset; bright sand is so dark in blue only."""
DARKEST = 1.0
"""Per cent of the pixels: one pixel is noise, the lowest hundredth is not."""
DN_SCALE = 1e-4
"""Reflectance per digital number, where integers are DN = reflectance x 10^4."""
BRIGHT_HALF = 1.2
"""Reflectance that half of the values of a series never pass."""

_SHORTWAVE = ("B11", "B12")
_INFRARED = ("B8A", "B08", *_SHORTWAVE)
_FLATTEST = 0.05  # between the bands: soil and sand rise more from blue to red, the offset does not
_DARKEST_BAND = 0.135  # leaves, water and shadow with the offset, in the darkest band
_BELOW_BLACK = -0.04  # reflectance below which no tenth of an image lies
_OVERSHOT = -0.03  # reflectance below which hardly a hundredth of an image lies
_SAME_SHIFT = 0.03  # how well a shift from the other dates must fit the offset, in every band
_NOTHING = 0.002  # reflectance that a hundredth of any image passes
_LEAVES = 0.8  # infrared that leaves never reach; snow and cloud do, but are as bright in red
_LEAF_RED = 0.4  # of the infrared
_OWN_METADATA = ("SAFE", "Theia")  # kinds whose producer states what it wrote itself
_IMAGES_OF_A_FILE = 4  # a stack or cube makes one statement for all its dates
_IMAGES_OWN = 4  # of products that state their own values
_IMAGES_REMOTE = 12  # whose reading takes the network
_SHARES = (DARKEST, 10.0, 50.0, 99.0)  # per cent
_TINY = 1000  # pixels
_SOIL_RISE = 0.025  # of soil and sand from B02 to B04; leaves and water do not rise
_SAMPLE = 64  # pixels: side of the windows that are looked at
_LOWEST_DN = -2000  # below are the ways to write "no value" that no file declares


def sampled_values(
    record: SourceBand, opened: dict[str, gdal.Dataset] | None = None
) -> NDArray[np.float32]:
    """Return the raw values, 1-D and without "no value", of a few windows spread over a record.

    Args:
        record: the band.
        opened: datasets by name, so that the bands of a file share GDAL's blocks; grows.
    """
    opened = {} if opened is None else opened
    dataset = opened.get(record.dataset_name)
    if dataset is None:
        dataset = open_raster(record.dataset_name, record.open_options)
        opened[record.dataset_name] = dataset
    width, height = min(record.grid.width, _SAMPLE), min(record.grid.height, _SAMPLE)
    found = []
    for col, row in dict.fromkeys(
        (int((record.grid.width - width) * part), int((record.grid.height - height) * part))
        for part in (0.5, 0.25, 0.75, 0.0, 1.0)
    ):
        values = read_bands(dataset, [record.index], col, row, width, height)[0]
        seen = np.isfinite(values) & (values != record.nodata)
        seen &= (values != 0) & (values > _LOWEST_DN)
        if record.dtype == gdal.GDT_UInt16:
            seen &= values != FULL
        seen &= ~is_hidden(dataset, record, col, row, width, height)
        found.append(values[seen])
    return np.concatenate(found)


def some(names: set[str]) -> str:
    """Return the first of some names, and how many more there are."""
    listed = sorted(names)
    return listed[0] if len(listed) == 1 else f"{listed[0]} and {len(listed) - 1} more"


def are_no_dn(infrared: float, red: float) -> bool:
    """Whether the middle infrared and red of an image, read as DN, are those of no ground."""
    return infrared > _LEAVES and red < _LEAF_RED * infrared


@dataclass(frozen=True)
class Statement:
    """The scale and offset to read a record with, after its pixels were looked at.

    Attributes:
        scale: reflectance = raw x scale + offset.
        offset: see scale.
    """

    scale: float
    offset: float


@dataclass
class CheckedStatements:
    """What the check found.

    Attributes:
        changed: position of a record to the statement that replaces its own.
        warnings: what was corrected, and what is doubtful.
        notes: what was looked at and kept.
    """

    changed: dict[int, Statement] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Sample:
    """What is kept of the raw values of a band that were looked at.

    Attributes:
        count: how many they are.
        lows: share (per cent) of them to the value below which it lies.
        whole: whether all are whole numbers.
    """

    count: int
    lows: dict[float, float]
    whole: bool

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> _Sample:
        """Sum up raw values."""
        lows = np.percentile(values, _SHARES).tolist() if values.size else []
        return cls(values.size, dict(zip(_SHARES, lows)), bool((values == np.rint(values)).all()))


class _Image:
    """The bands of one date and scene that state one scale and offset.

    Attributes:
        indices: positions of its records among all.
        scale: as stated, or corrected.
        offset: as stated, or corrected.
    """

    def __init__(self, scale: float, offset: float) -> None:
        self.indices: list[int] = []
        self.records: list[SourceBand] = []
        self.scale = scale
        self.offset = offset
        self._samples: dict[str, _Sample] = {}
        self._opened: dict[str, gdal.Dataset] = {}

    @property
    def first(self) -> SourceBand:
        return self.records[0]

    @property
    def name(self) -> str:
        return self.first.name

    @property
    def remote(self) -> bool:
        return self.first.path.startswith(("/vsicurl", "/vsis3", "/vsigs", "/vsiaz"))

    @property
    def recent(self) -> bool:
        return self.first.may_hold_offset or self.first.day >= OFFSET_SINCE

    def bands(self, wanted: Sequence[str]) -> list[str]:
        """Return those of some bands whose looked-at windows hold values."""
        held = {record.band for record in self.records}
        return [band for band in wanted if band in held and self._sample(band).count]

    def low(self, band: str, share: float = DARKEST) -> float:
        """Return the reflectance below which a share (per cent) of a band lies."""
        return self._sample(band).lows[share] * self.scale + self.offset

    def lows(self, bands: Sequence[str]) -> dict[str, float]:
        """Return the darkest hundredth of those of some bands that hold values."""
        return {band: self.low(band) for band in self.bands(bands)}

    def whole_numbers(self) -> bool:
        """Whether the dark bands hold whole numbers only."""
        return all(self._sample(band).whole for band in self.bands(DARK_BANDS))

    def close(self) -> None:
        """Let go of the files."""
        self._opened.clear()

    def is_tiny(self) -> bool:
        """Whether too few pixels were looked at to hold water, shadow or leaves for sure."""
        return max(self._sample(band).count for band in self.bands(DARK_BANDS)) < _TINY

    def _sample(self, band: str) -> _Sample:
        if band not in self._samples:
            records = [record for record in self.records if record.band == band]
            parts = [sampled_values(record, self._opened) for record in records]
            self._samples[band] = _Sample.of(np.concatenate(parts))
        return self._samples[band]


class StatementCheck:
    """Checks the statements of a series.

    Args:
        scale: what the user says; it counts where a statement is doubtful.
        offset: see scale.
        check: called before each image; may raise to stop.
    """

    def __init__(
        self, scale: float | None, offset: float | None, check: Callable[[], None]
    ) -> None:
        self._scale = scale
        self._offset = offset
        self._check = check

    def __call__(self, records: Sequence[SourceBand]) -> CheckedStatements:
        """Check the statements of some records; those that state nothing are passed by.

        Raises:
            SeriesError: a statement is impossible, or two readings are plausible.
        """
        found = CheckedStatements()
        statements: dict[tuple[object, ...], list[_Image]] = {}
        given = self._scale is not None or self._offset is not None
        for image in _images(records, certain=given):
            own = image.first.product.kind in _OWN_METADATA
            key = (own, image.scale, image.offset, image.first.may_hold_offset)
            statements.setdefault(key, []).append(image)
        looked = [self._looked_at(images, found) for images in statements.values()]
        for images in looked:
            self._check_scale(images, found)
        for images in looked:
            self._check_subtracted(images, found)
        clear = [image for images in looked for image in images if _is_clear(image)]
        for images, whole in zip(looked, statements.values()):
            if images and images[0].first.product.kind not in _OWN_METADATA:
                self._check_left_in(images, whole, clear, found)
        return found

    def _looked_at(self, images: list[_Image], found: CheckedStatements) -> list[_Image]:
        """Return the images of one statement whose pixels are looked at, dark bands read."""
        by_file: dict[str, list[_Image]] = {}
        for image in images:
            by_file.setdefault(image.first.path, []).append(image)
        some_of_each = [
            image for group in by_file.values() for image in _spread(group, _IMAGES_OF_A_FILE)
        ]
        if images[0].first.product.kind in _OWN_METADATA:
            some_of_each = _spread(some_of_each, _IMAGES_OWN)
        elif images[0].remote:
            some_of_each = _spread(some_of_each, _IMAGES_REMOTE)
        kept = []
        for image in some_of_each:
            self._check()
            try:
                if image.bands(DARK_BANDS):
                    kept.append(image)
            except SeriesError:  # who reads the series will be told why
                found.notes.append(
                    f"The pixels of {image.name} cannot be read now, so its scale and offset are "
                    "taken as stated."
                )
                if image.remote:  # the others would wait for the same network
                    break
            finally:
                image.close()
        return kept

    def _check_scale(self, images: Sequence[_Image], found: CheckedStatements) -> None:
        """Correct a scale that was applied already; refuse one by which nothing is reflectance."""
        applied = []
        halves = []
        for image in images:
            if not 0 < image.scale <= 1:  # no scale at all, whatever the pixels
                continue
            dark = image.bands(DARK_BANDS)
            top = max(image.low(band, 99) - image.offset for band in dark)
            if top < _NOTHING and not is_integer(image.first.dtype) and not image.whole_numbers():
                applied.append(image)
                image.scale = 1.0
                self._change(image, found)
            halves.append(float(np.median([image.low(band, 50) for band in dark])))
        if applied:
            found.warnings.append(
                f"The scale that is stated was applied already in "
                f"{some({image.name for image in applied})}, whose floating-point values are "
                "reflectance; it is taken as 1."
            )
        few = _spread([image for image in images if image not in applied], _IMAGES_OWN)
        leaves = []
        for image in few:
            infrared = image.bands(("B08", "B8A"))
            if "B04" in image.bands(("B04",)) and infrared:
                leaves.append(are_no_dn(image.low(infrared[0], 50), image.low("B04", 50)))
        if not halves or not (
            np.median(halves) > BRIGHT_HALF or (leaves and np.mean(leaves) > 0.5)
        ):
            return
        first = images[0]
        if self._scale is None:
            raise SeriesError(
                f"The scale {first.scale:g} makes {some({image.name for image in images})}, which "
                "state it, brighter than any ground; give SCALE, the reflectance per unit "
                "(1/65535 = 0.0000152590 where 65535 is 1)."
            )
        for image in images:
            image.scale = self._scale
            image.offset = self._offset or 0.0
            self._change(image, found)

    def _check_subtracted(self, images: Sequence[_Image], found: CheckedStatements) -> None:
        """Take back an offset that a statement subtracts from values without it."""
        wrong, doubtful = [], []
        for image in images:
            if image.offset > OFFSET / 2:
                continue
            dark = image.bands(DARK_BANDS)
            lowest = min(dark, key=lambda band: image.low(band, 10))
            if image.low(lowest, 10) < _BELOW_BLACK and image.low(lowest, 50) < 0:
                wrong.append(image)
            elif min(image.lows(dark).values()) < _OVERSHOT:
                doubtful.append(image)
        if wrong:
            offset, least = wrong[0].offset, min(_lowest(image) for image in wrong)
            unclear = [
                image for image in images if image not in wrong and _lowest(image) > -OFFSET / 2
            ]
            for image in wrong:
                image.offset = 0.0
                self._change(image, found)
            text = (
                f"By the offset of {offset:g} that is stated, the reflectance of "
                f"{some({image.name for image in wrong})} would go down to {least:.2f}: it has "
                "been subtracted already, so the offset is taken as 0."
            )
            if unclear:
                text += (
                    f" The same is stated of {some({image.name for image in unclear})}, which is "
                    "too bright to tell and read as stated."
                )
            found.warnings.append(text)
        if doubtful and self._offset is not None:
            self._given(doubtful, found)
        elif doubtful:
            found.warnings.append(
                f"By the offset of {doubtful[0].offset:g} that is stated, the reflectance of "
                f"{some({image.name for image in doubtful})} goes down to "
                f"{min(_lowest(image) for image in doubtful):.2f}; give OFFSET 0 if the offset "
                "has been subtracted already."
            )

    def _check_left_in(
        self,
        images: Sequence[_Image],
        whole: Sequence[_Image],
        clear: Sequence[_Image],
        found: CheckedStatements,
    ) -> None:
        """Subtract an offset that values hold and their statement does not know, where sure."""
        suspects = [image for image in images if _may_hold_offset(image)]
        if not suspects:
            return
        shifted = [image for image in suspects if image.recent and _is_shifted(image, clear)]
        if shifted:
            self._subtract(shifted, found)
        suspects = [image for image in suspects if image not in shifted]
        if not suspects:
            return
        own_clear = [image for image in images if _is_clear(image)]
        all_suspect = len(suspects) > 1 and not own_clear and suspects[0].recent
        if self._offset is not None:
            self._given(whole if all_suspect else suspects, found)
            return
        name = some({image.name for image in suspects})
        begins = min(_lowest(image) for image in suspects)
        if all_suspect and all(_surely_holds_offset(image) for image in suspects):
            if not suspects[0].first.may_hold_offset:
                raise SeriesError(
                    f"By the scale and offset that are stated, the reflectance of {name} begins "
                    f"at {begins:.2f}, as where DN hold the offset of 1000 of products since "
                    "2022-01-25; give OFFSET (-0.1 if they do, 0 if these images are only hazy)."
                )
            self._subtract(whole, found)
            return
        text = (
            f"By the scale and offset that are stated, the reflectance of {name} begins at "
            f"{begins:.2f}, as in haze, or where DN hold an offset of 1000; it is read as stated"
        )
        if len(own_clear) > len(suspects):
            found.notes.append(f"{text}, as that of the other dates.")
        else:
            found.warnings.append(f"{text}, so give OFFSET -0.1 if DN hold it.")

    def _subtract(self, images: Sequence[_Image], found: CheckedStatements) -> None:
        for image in images:
            image.offset = OFFSET
            self._change(image, found)
        found.warnings.append(
            f"By the offset of 0 that is stated, the darkest pixels of "
            f"{some({image.name for image in images})} lie at 0.1 in every band: DN hold the "
            "offset of 1000 of products since 2022-01-25, so the offset is taken as -0.1."
        )

    def _given(self, images: Sequence[_Image], found: CheckedStatements) -> None:
        """Read doubtful images with the offset that the user gives."""
        for image in images:
            image.offset = self._offset or 0.0
            self._change(image, found)
        found.notes.append(
            f"The offset that is stated of {some({image.name for image in images})} is doubtful, "
            "so the one that was given counts."
        )

    def _change(self, image: _Image, found: CheckedStatements) -> None:
        for index in image.indices:
            found.changed[index] = Statement(image.scale, image.offset)


def _images(records: Sequence[SourceBand], certain: bool) -> list[_Image]:
    """Return the images of all records that state values, or only of those that are certain."""
    images: dict[tuple[object, ...], _Image] = {}
    for index, record in enumerate(records):
        if record.scale is None or record.offset is None or (certain and not record.certain):
            continue
        key = (
            record.day,
            record.product.scene,
            round(record.scale, 9),
            round(record.offset, 6),
            is_integer(record.dtype),
        )
        image = images.setdefault(key, _Image(record.scale, record.offset))
        image.indices.append(index)
        image.records.append(record)
    return list(images.values())


def _spread(images: Sequence[_Image], count: int) -> list[_Image]:
    """Return at most `count` of the images, at even steps."""
    return list(images[:: max(1, -(-len(images) // count))])


def _lowest(image: _Image) -> float:
    return min(image.lows(DARK_BANDS).values())


def _is_clear(image: _Image) -> bool:
    return _OVERSHOT <= _lowest(image) < OFFSET_BLACK


def _may_hold_offset(image: _Image) -> bool:
    """Whether the darkest pixels of all bands of an image lie where the offset puts black."""
    if abs(image.offset) > abs(OFFSET) / 2:
        return False
    lows = image.lows(DARK_BANDS).values()
    low, high = min(lows), max(lows)
    if not (OFFSET_BLACK <= low < _DARKEST_BAND and high < OFFSET_DARK and high - low < _FLATTEST):
        return False
    return all(value >= OFFSET_BLACK for value in image.lows(_INFRARED).values())


def _surely_holds_offset(image: _Image) -> bool:
    """Whether dark pixels of an image are those of leaves, water and shadow with the offset."""
    lows = image.lows((*DARK_BANDS, *_SHORTWAVE))
    if image.is_tiny() or not all(band in lows for band in DARK_BANDS):
        return False
    return any(band in lows for band in _SHORTWAVE) and lows["B04"] - lows["B02"] < _SOIL_RISE


def _is_shifted(image: _Image, clear: Sequence[_Image]) -> bool:
    """Whether an image is brighter than the clear ones by the offset, in all bands alike."""
    own = image.lows((*DARK_BANDS, *_SHORTWAVE))
    others: dict[str, list[float]] = {}
    for other in clear[:_IMAGES_REMOTE]:
        if other.first.grid.same_crs(image.first.grid):
            for band, low in other.lows(tuple(own)).items():
                others.setdefault(band, []).append(low)
    if not any(band in others for band in _SHORTWAVE) or len(others) < len(own):
        return False
    return all(
        abs(own[band] - np.median(lows) + OFFSET) < _SAME_SHIFT for band, lows in others.items()
    )
