"""Covers of the ground: what grows when, and how thick.

Days are days of the year in the northern hemisphere and a cool temperate spring (about 50 degrees);
a world shifts them by region, season and hemisphere, and by its warmth, for crops do not all move
alike: in the subtropics maize is sown two months earlier, soybean hardly, for it follows the length
of the day. A season is a double logistic of leaf area: it opens around `green_up`, the leaves turn
around `maturity`, and the crop is cut or falls some weeks later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Canopy = Literal[
    "cereal", "broadleaf", "legume", "cotton", "maize", "rice", "grass", "tree", "conifer", "shrub"
]
CANOPIES: tuple[Canopy, ...] = (
    "cereal",
    "broadleaf",
    "legume",
    "cotton",
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
        warmth: days that green-up and maturity move from the cool temperate to the subtropics.
        growth: range of the days that the logistic of green-up takes; small is fast.
        standing: range of the days between maturity and harvest, or the fall of the leaves.
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
    warmth: tuple[float, float] = (-25.0, 0.0)
    growth: tuple[float, float] = (5.0, 14.0)
    standing: tuple[float, float] = (8.0, 34.0)
    autumn: tuple[float, float] = (0.0, 0.0)
    evergreen: tuple[float, float] = (0.0, 0.0)
    annual: bool = True
    cuts: int = 0
    flooded: bool = False
    ground: Ground = "soil"
    plants: tuple[float, float] = (1.0, 1.0)


COVERS: tuple[Cover, ...] = (
    Cover(
        "winter wheat",
        "cereal",
        (95, 12),
        (178, 10),
        (3.0, 7.0),
        warmth=(-40, -38),
        growth=(8, 16),
        standing=(10, 32),
        autumn=(0.2, 1.5),
    ),
    Cover(
        "winter barley",
        "cereal",
        (85, 12),
        (163, 9),
        (3.0, 6.5),
        warmth=(-38, -35),
        growth=(8, 16),
        standing=(8, 26),
        autumn=(0.3, 1.8),
    ),
    Cover(
        "rapeseed",
        "broadleaf",
        (82, 10),
        (172, 9),
        (3.0, 6.0),
        warmth=(-35, -30),
        growth=(6, 13),
        standing=(10, 30),
        autumn=(0.4, 2.5),
    ),
    Cover(
        "spring cereal",
        "cereal",
        (128, 12),
        (192, 12),
        (2.5, 5.5),
        warmth=(-45, -42),
        growth=(6, 12),
    ),
    Cover(
        "maize",
        "maize",
        (168, 14),
        (252, 17),
        (2.5, 6.0),
        warmth=(-42, -50),
        growth=(5, 10),
        standing=(10, 50),
    ),
    Cover(
        "sorghum",
        "maize",
        (178, 14),
        (255, 15),
        (1.5, 4.5),
        warmth=(-32, -32),
        growth=(6, 12),
        standing=(8, 40),
    ),
    Cover(
        "sunflower",
        "broadleaf",
        (162, 13),
        (232, 13),
        (1.8, 4.5),
        warmth=(-30, -28),
        growth=(5, 10),
        standing=(12, 36),
    ),
    Cover(
        "soybean",
        "legume",
        (180, 17),
        (256, 14),
        (3.0, 7.0),
        warmth=(-14, -8),
        growth=(6, 13),
        standing=(2, 14),
    ),
    Cover(
        "sugar beet",
        "broadleaf",
        (160, 12),
        (300, 18),
        (3.0, 5.5),
        warmth=(-40, -70),
        standing=(5, 25),
    ),
    Cover("potato", "broadleaf", (155, 14), (232, 18), (2.5, 5.5), warmth=(-45, -50)),
    Cover(
        "pea or bean",
        "legume",
        (118, 12),
        (180, 12),
        (2.0, 5.0),
        warmth=(-35, -32),
        standing=(4, 20),
    ),
    Cover(
        "cotton",
        "cotton",
        (186, 15),
        (270, 15),
        (1.5, 4.5),
        warmth=(-6, -4),
        growth=(8, 16),
        standing=(6, 26),
    ),
    Cover(
        "rice",
        "rice",
        (176, 18),
        (250, 16),
        (3.0, 7.0),
        warmth=(-18, -18),
        growth=(5, 11),
        standing=(4, 22),
        flooded=True,
    ),
    Cover("vegetables", "broadleaf", (150, 45), (205, 45), (1.0, 4.0), warmth=(-20, -10)),
    Cover(
        "meadow",
        "grass",
        (88, 14),
        (305, 18),
        (2.0, 5.5),
        evergreen=(0.5, 2.0),
        warmth=(-40, 15),
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
        warmth=(-40, 15),
        annual=False,
        cuts=1,
    ),
    Cover(
        "fodder legume",
        "legume",
        (95, 15),
        (295, 18),
        (2.5, 5.5),
        evergreen=(0.1, 0.8),
        warmth=(-40, 15),
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
        warmth=(-50, -45),
        annual=False,
    ),
    Cover(
        "broadleaf forest",
        "tree",
        (118, 11),
        (292, 12),
        (3.0, 6.5),
        evergreen=(0.4, 1.2),
        warmth=(-28, 14),
        annual=False,
    ),
    Cover(
        "evergreen forest",
        "conifer",
        (120, 20),
        (290, 20),
        (0.3, 1.2),
        evergreen=(2.5, 6.0),
        warmth=(-20, 10),
        annual=False,
    ),
    Cover(
        "evergreen broadleaf forest",
        "tree",
        (120, 40),
        (290, 40),
        (0.3, 1.5),
        evergreen=(3.0, 6.5),
        warmth=(-20, 10),
        annual=False,
    ),
    Cover(
        "orchard",
        "tree",
        (115, 14),
        (292, 15),
        (1.0, 3.0),
        evergreen=(0.2, 1.2),
        warmth=(-25, 12),
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
        warmth=(-24, -5),
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
        warmth=(-40, -20),
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
        warmth=(-25, 12),
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
        warmth=(-25, 10),
        annual=False,
        ground="water",
        plants=(0.6, 1.0),
    ),
)
NAMES = tuple(cover.name for cover in COVERS)
