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

import numpy as np

from ..errors import SeriesError
from .rasters import is_integer
from .sampled_images import DARK_BANDS, SampledImage, sampled_images, spread_images
from .sources.record import SourceBand

OFFSET = -0.1
"""Reflectance of the raw value 0 where DN hold the offset of 1000."""
OFFSET_BLACK = 0.09
"""Black with the offset, less what the correction of the atmosphere overshoots."""
OFFSET_DARK = 0.15
"""Leaves, water and shadow with the offset; bright sand is so dark in blue only."""
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
_SOIL_RISE = 0.025  # of soil and sand from B02 to B04; leaves and water do not rise


def some(names: set[str]) -> str:
    """Return the first of some names, and how many more there are."""
    listed = sorted(names)
    return listed[0] if len(listed) == 1 else f"{listed[0]} and {len(listed) - 1} more"


def are_no_dn(infrared: float, red: float) -> bool:
    """Return whether an image, read as DN, has the middle infrared and red of no ground."""
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
        statements: dict[tuple[object, ...], list[SampledImage]] = {}
        given = self._scale is not None or self._offset is not None
        for image in sampled_images(records, certain=given):
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

    def _looked_at(
        self, images: list[SampledImage], found: CheckedStatements
    ) -> list[SampledImage]:
        """Return the images of one statement whose pixels are looked at, dark bands read."""
        by_file: dict[str, list[SampledImage]] = {}
        for image in images:
            by_file.setdefault(image.first.path, []).append(image)
        some_of_each = [
            image for group in by_file.values() for image in spread_images(group, _IMAGES_OF_A_FILE)
        ]
        if images[0].first.product.kind in _OWN_METADATA:
            some_of_each = spread_images(some_of_each, _IMAGES_OWN)
        elif images[0].remote:
            some_of_each = spread_images(some_of_each, _IMAGES_REMOTE)
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

    def _check_scale(self, images: Sequence[SampledImage], found: CheckedStatements) -> None:
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
        few = spread_images([image for image in images if image not in applied], _IMAGES_OWN)
        leaves = []
        for image in few:
            leaves.append(_is_no_dn(image))
        if not halves or not (
            np.median(halves) > BRIGHT_HALF or (leaves and np.mean(leaves) > 0.5)
        ):
            return
        first = images[0]
        if self._scale is None:
            raise SeriesError(
                f"The scale {first.scale:g} makes {some({image.name for image in images})}, which "
                "state it, brighter than any ground; give SCALE, the reflectance per unit "
                "(1/65535 = 0.0000152590 where 65535 is 1), or NODATA if the highest value stands "
                "for none."
            )
        for image in images:
            image.scale = self._scale
            image.offset = self._offset or 0.0
            self._change(image, found)

    def _check_subtracted(self, images: Sequence[SampledImage], found: CheckedStatements) -> None:
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
            for image in wrong:
                image.offset = 0.0
                self._change(image, found)
            # A hazy or bright date of a small area does not go below black, but lies as far below
            # the corrected ones.
            rest = [image for image in images if image not in wrong and image.offset <= OFFSET / 2]
            for image in [one for one in rest if _is_shifted(one, wrong, one.offset)]:
                image.offset = 0.0
                self._change(image, found)
                wrong.append(image)
                doubtful = [one for one in doubtful if one is not image]
            unclear = [
                image for image in images if image not in wrong and _lowest(image) > -OFFSET / 2
            ]
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
        images: Sequence[SampledImage],
        whole: Sequence[SampledImage],
        clear: Sequence[SampledImage],
        found: CheckedStatements,
    ) -> None:
        """Subtract an offset that values hold and their statement leaves out."""
        suspects = [image for image in images if _may_hold_offset(image)]
        if not suspects:
            return
        shifted = [
            image for image in suspects if image.recent and _is_shifted(image, clear, -OFFSET)
        ]
        if shifted:
            self._subtract(shifted, found)
        suspects = [image for image in suspects if image not in shifted]
        if not suspects:
            return
        own_clear = [image for image in images if _is_clear(image)]
        # One image says as much as two if it shows water, leaves or shadow for sure.
        enough = len(suspects) > 1 or _surely_holds_offset(suspects[0])
        all_suspect = enough and not own_clear and suspects[0].recent
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

    def _subtract(self, images: Sequence[SampledImage], found: CheckedStatements) -> None:
        for image in images:
            image.offset = OFFSET
            self._change(image, found)
        found.warnings.append(
            f"By the offset of 0 that is stated, the darkest pixels of "
            f"{some({image.name for image in images})} lie at 0.1 in every band: DN hold the "
            "offset of 1000 of products since 2022-01-25, so the offset is taken as -0.1."
        )

    def _given(self, images: Sequence[SampledImage], found: CheckedStatements) -> None:
        """Read doubtful images with the offset that the user gives."""
        for image in images:
            image.offset = self._offset or 0.0
            self._change(image, found)
        found.notes.append(
            f"The offset that is stated of {some({image.name for image in images})} is doubtful, "
            "so the one that was given counts."
        )

    def _change(self, image: SampledImage, found: CheckedStatements) -> None:
        for index in image.indices:
            found.changed[index] = Statement(image.scale, image.offset)


def doubts_of_given(images: Sequence[SampledImage]) -> list[str]:
    """Return warnings where the pixels contradict the scale or offset that the user gives.

    Args:
        images: with the scale and offset that they will be read with; a few are looked at.
    """
    dark, bright, nothing = [], [], []
    for image in spread_images(images, _IMAGES_OWN):
        bands = image.bands(DARK_BANDS)
        if not bands:
            continue
        if min(image.lows(bands).values()) < _OVERSHOT:
            dark.append(image)
        if np.median([image.low(band, 50) for band in bands]) > BRIGHT_HALF or _is_no_dn(image):
            bright.append(image)
        if max(image.low(band, 99) - image.offset for band in bands) < _NOTHING:
            nothing.append(image)
        image.close()
    said = []
    if dark:
        said.append(
            f"By the scale {dark[0].scale:g} and offset {dark[0].offset:g} that were given, the "
            f"reflectance of {some({image.name for image in dark})} goes down to "
            f"{min(_lowest(image) for image in dark):.2f}; give OFFSET 0 if the offset has been "
            "subtracted already."
        )
    for kind, words in ((bright, "brighter"), (nothing, "darker")):
        if kind:
            said.append(
                f"By the scale {kind[0].scale:g} that was given, "
                f"{some({image.name for image in kind})} is {words} than any ground; check SCALE, "
                "the reflectance per unit."
            )
    return said


def _is_no_dn(image: SampledImage) -> bool:
    """Return whether the middle infrared and red of an image are those of no ground."""
    red, infrared = image.bands(("B04",)), image.bands(("B08", "B8A"))
    if not red or not infrared:
        return False
    return are_no_dn(image.low(infrared[0], 50), image.low("B04", 50))


def _lowest(image: SampledImage) -> float:
    return min(image.lows(DARK_BANDS).values())


def _is_clear(image: SampledImage) -> bool:
    return _OVERSHOT <= _lowest(image) < OFFSET_BLACK


def _may_hold_offset(image: SampledImage) -> bool:
    """Return whether the darkest pixels of all bands lie where the offset puts black."""
    if abs(image.offset) > abs(OFFSET) / 2:
        return False
    lows = image.lows(DARK_BANDS).values()
    low, high = min(lows), max(lows)
    if not (OFFSET_BLACK <= low < _DARKEST_BAND and high < OFFSET_DARK and high - low < _FLATTEST):
        return False
    return all(value >= OFFSET_BLACK for value in image.lows(_INFRARED).values())


def _surely_holds_offset(image: SampledImage) -> bool:
    """Return whether dark pixels are those of leaves, water and shadow with the offset."""
    lows = image.lows((*DARK_BANDS, *_SHORTWAVE))
    if image.is_tiny() or not all(band in lows for band in DARK_BANDS):
        return False
    return any(band in lows for band in _SHORTWAVE) and lows["B04"] - lows["B02"] < _SOIL_RISE


def _is_shifted(image: SampledImage, clear: Sequence[SampledImage], by: float) -> bool:
    """Return whether an image is brighter than the clear ones by a reflectance, in all bands."""
    own = image.lows((*DARK_BANDS, *_SHORTWAVE))
    others: dict[str, list[float]] = {}
    for other in clear[:_IMAGES_REMOTE]:
        if other.first.grid.same_crs(image.first.grid):
            for band, low in other.lows(tuple(own)).items():
                others.setdefault(band, []).append(low)
    if not any(band in others for band in _SHORTWAVE) or len(others) < len(own):
        return False
    return all(abs(own[band] - np.median(lows) - by) < _SAME_SHIFT for band, lows in others.items())
