"""Covers of the ground: what grows when, and how thick.

Days are days of the year in the northern hemisphere and a mid-latitude spring; a world shifts them
by region, season and hemisphere. A season is a double logistic of leaf area: it opens around
`green_up`, the leaves turn around `maturity`, and the crop is cut or falls some weeks later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Canopy = Literal["cereal", "broadleaf", "maize", "rice", "grass", "tree", "conifer", "shrub"]
CANOPIES: tuple[Canopy, ...] = (
    "cereal",
    "broadleaf",
    "maize",
    "rice",
    "grass",
    "tree",
    "conifer",
    "shrub",
)
Ground = Literal["soil", "water", "urban", "rock"]


@dataclass(frozen=True)
class Cover:
    """A cover and the spread of its calendar.

    Attributes:
        name: of the class.
        canopy: which leaves and architecture.
        green_up: mean and deviation of the day of half growth.
        maturity: mean and deviation of the day when leaves turn.
        lai: range of the largest leaf area index.
        autumn: range of the leaf area through winter, of crops sown in autumn.
        evergreen: range of the leaf area all year.
        annual: whether another crop may follow next year.
        cuts: most mowings in a season.
        flooded: whether it stands in water at first.
        ground: what lies below.
        plants: range of the share of the ground that plants may take at all.
    """

    name: str
    canopy: Canopy
    green_up: tuple[float, float]
    maturity: tuple[float, float]
    lai: tuple[float, float]
    autumn: tuple[float, float] = (0.0, 0.0)
    evergreen: tuple[float, float] = (0.0, 0.0)
    annual: bool = True
    cuts: int = 0
    flooded: bool = False
    ground: Ground = "soil"
    plants: tuple[float, float] = (1.0, 1.0)


COVERS: tuple[Cover, ...] = (
    Cover("winter wheat", "cereal", (95, 12), (178, 10), (3.0, 7.0), autumn=(0.2, 1.5)),
    Cover("winter barley", "cereal", (85, 12), (163, 9), (3.0, 6.5), autumn=(0.3, 1.8)),
    Cover("rapeseed", "broadleaf", (82, 10), (172, 9), (3.0, 6.0), autumn=(0.4, 2.5)),
    Cover("spring cereal", "cereal", (128, 12), (192, 12), (2.5, 5.5)),
    Cover("maize", "maize", (168, 14), (258, 18), (2.5, 6.0)),
    Cover("sorghum", "maize", (178, 14), (255, 15), (1.5, 4.5)),
    Cover("sunflower", "broadleaf", (162, 13), (235, 13), (1.8, 4.5)),
    Cover("soybean", "broadleaf", (180, 16), (258, 13), (3.0, 7.0)),
    Cover("sugar beet", "broadleaf", (160, 12), (300, 18), (3.0, 5.5)),
    Cover("potato", "broadleaf", (155, 14), (232, 18), (2.5, 5.5)),
    Cover("pea or bean", "broadleaf", (118, 12), (180, 12), (2.0, 5.0)),
    Cover("cotton", "broadleaf", (182, 15), (278, 16), (1.5, 4.5)),
    Cover("rice", "rice", (172, 18), (245, 16), (3.0, 7.0), flooded=True),
    Cover("vegetables", "broadleaf", (150, 45), (205, 45), (1.0, 4.0)),
    Cover(
        "meadow",
        "grass",
        (88, 14),
        (305, 18),
        (2.0, 5.5),
        evergreen=(0.5, 2.0),
        annual=False,
        cuts=5,
    ),
    Cover(
        "pasture",
        "grass",
        (92, 16),
        (280, 30),
        (1.0, 3.5),
        evergreen=(0.3, 1.5),
        annual=False,
        cuts=1,
    ),
    Cover(
        "fodder legume",
        "broadleaf",
        (95, 15),
        (295, 18),
        (2.5, 5.5),
        evergreen=(0.1, 0.8),
        annual=False,
        cuts=6,
    ),
    Cover(
        "dry grassland",
        "grass",
        (92, 25),
        (175, 30),
        (0.4, 2.0),
        evergreen=(0.0, 0.3),
        annual=False,
    ),
    Cover(
        "broadleaf forest",
        "tree",
        (118, 11),
        (292, 12),
        (3.0, 6.5),
        evergreen=(0.4, 1.2),
        annual=False,
    ),
    Cover(
        "evergreen forest",
        "conifer",
        (120, 20),
        (290, 20),
        (0.3, 1.2),
        evergreen=(2.5, 6.0),
        annual=False,
    ),
    Cover(
        "evergreen broadleaf forest",
        "tree",
        (120, 40),
        (290, 40),
        (0.3, 1.5),
        evergreen=(3.0, 6.5),
        annual=False,
    ),
    Cover(
        "orchard",
        "tree",
        (115, 14),
        (292, 15),
        (1.0, 3.0),
        evergreen=(0.2, 1.2),
        annual=False,
        plants=(0.4, 0.9),
    ),
    Cover(
        "vineyard",
        "shrub",
        (138, 12),
        (285, 15),
        (1.0, 2.5),
        evergreen=(0.0, 0.5),
        annual=False,
        plants=(0.3, 0.7),
    ),
    Cover(
        "shrubland",
        "shrub",
        (98, 25),
        (230, 45),
        (0.3, 1.8),
        evergreen=(0.3, 2.0),
        annual=False,
        plants=(0.4, 1.0),
    ),
    Cover("fallow", "grass", (110, 30), (210, 40), (0.2, 2.5)),
    Cover("bare ground", "grass", (110, 40), (200, 40), (0.0, 0.3), annual=False),
    Cover(
        "rock or sand",
        "grass",
        (110, 30),
        (220, 40),
        (0.0, 0.6),
        annual=False,
        ground="rock",
        plants=(0.0, 0.3),
    ),
    Cover(
        "built-up",
        "grass",
        (100, 20),
        (285, 25),
        (1.0, 4.0),
        evergreen=(0.2, 1.5),
        annual=False,
        ground="urban",
        plants=(0.0, 0.6),
    ),
    Cover(
        "water",
        "grass",
        (120, 20),
        (270, 20),
        (0.0, 0.5),
        annual=False,
        ground="water",
        plants=(0.0, 0.1),
    ),
    Cover(
        "wetland",
        "grass",
        (125, 18),
        (265, 20),
        (1.5, 5.0),
        evergreen=(0.1, 0.8),
        annual=False,
        ground="water",
        plants=(0.6, 1.0),
    ),
)
NAMES = tuple(cover.name for cover in COVERS)
