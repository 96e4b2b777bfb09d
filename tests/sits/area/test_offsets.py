"""What services state wrongly of the offset of their values: the pixels decide, and it is said."""

import numpy as np
import pytest

from tests.helpers.area import Log, area, get, pixels
from tests.helpers.stac_server import DAYS, stac_server, tile_item


def stated(offset=None, **properties):
    """Let an item state an offset, and properties such as boa_offset_applied."""

    def change(item):
        item["properties"].update(properties)
        for asset in item["assets"].values():
            for raster in asset["raster:bands"]:
                if "scale" in raster and offset is not None:
                    raster["offset"] = offset

    return change


WHOLE = (0.02, 0.02, 0.98, 0.98)  # of the tile, which has dark pixels at one side only


def series(folder, offset, change, copy, share=WHOLE):
    """Reflectance, and what is said, of items whose DN hold `offset`."""
    (folder / "server").mkdir(parents=True)
    log = Log()
    with stac_server(folder / "server") as server:
        for day in DAYS:
            tile_item(server, day, offset=offset, darker=0.05, changes=change)
        results = get(server, folder, log, COPY=copy, AREA=area(share))
        return pixels(results["OUTPUT"])[1], results["WARNINGS"]


@pytest.fixture(scope="module")
def true_reflectance(tmp_path_factory):
    found, warnings = series(tmp_path_factory.mktemp("true"), 1000, stated(), True)
    assert "offset" not in warnings
    return found


FLAG = "earthsearch:boa_offset_applied"
RIGHT = {
    "subtracted, and the flag says so": (0, stated(-0.1, **{FLAG: True})),
    "subtracted, and 0 stated": (0, stated(0.0, **{FLAG: True})),
    "not subtracted, and the flag says so": (1000, stated(-0.1, **{FLAG: False})),
}
WRONG = {
    "subtracted, and the flag denies it": (0, stated(-0.1, **{FLAG: False}), "already"),
    "subtracted, and no flag": (0, stated(-0.1), "already"),
    "0 stated of all baselines": (1000, stated(0.0), "so the offset is taken as -0.1"),
    "not subtracted, and the flag claims it": (
        1000,
        stated(-0.1, **{FLAG: True}),
        "so the offset is taken as -0.1",
    ),
}


@pytest.mark.parametrize("copy", [True, False], ids=["copied", "remote"])
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_statement_stays_as_it_is(tmp_path, true_reflectance, name, copy):
    offset, change = RIGHT[name]
    found, warnings = series(tmp_path, offset, change, copy)
    assert "offset" not in warnings
    np.testing.assert_allclose(found, true_reflectance, atol=0.01)


@pytest.mark.parametrize("copy", [True, False], ids=["copied", "remote"])
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_statement_is_said_and_put_right(tmp_path, true_reflectance, name, copy):
    offset, change, sentence = WRONG[name]
    found, warnings = series(tmp_path, offset, change, copy)
    assert sentence in warnings
    np.testing.assert_allclose(found, true_reflectance, atol=0.01)


def test_a_date_without_black_pixels_goes_with_the_others_that_state_the_same(tmp_path):
    part = (0.3, 0.3, 0.5, 0.5)
    truth, _ = series(tmp_path / "true", 1000, stated(), True, part)
    found, warnings = series(tmp_path / "found", 0, stated(-0.1), True, part)
    assert "3 more" in warnings
    np.testing.assert_allclose(found, truth, atol=0.01)
