"""The sets of real series that public repositories carry, mostly for their tests and examples.

All are surface reflectance. What a licence lets a model train on, and what is held out, is said
here and written into the index that training reads.
"""

from __future__ import annotations

from dataclasses import dataclass

CLASSIFICATION = "WorldCereal/worldcereal-classification"


@dataclass(frozen=True)
class Source:
    """One or more files of a public repository.

    Attributes:
        site: name in the index that is written; numbered where each file is a place of its own.
        repository: owner and name.
        path: of the files in it; `*` and `[]` as in file names of a shell, `*` also for folders.
        form: how the files are read, one of `command.READERS`.
        span_days: of a composite; its middle is taken for its date. 0 for acquisitions.
        labels: column with the class of a sample, or none.
        licence: of the repository.
        commit: that has the files, where the newest has them no more.
        offset_dn: what is added to DN = reflectance x 10^4 in the files.
        held_out: whether it is only measured on.
    """

    site: str
    repository: str
    path: str
    form: str
    span_days: int = 0
    labels: str | None = None
    licence: str = "MIT"
    commit: str = "HEAD"
    offset_dn: int = 0
    held_out: bool = False

    @property
    def use(self) -> str:
        """What the index says: without a licence a set may be measured on, not trained on."""
        only_measured = self.held_out or self.licence == "none stated"
        return "evaluate only" if only_measured else "train"


SOURCES = (
    Source(
        "france", CLASSIFICATION,
        "src/worldcereal/data/dekad/2023_FRA_LPIS_POLY_110.geoparquet", "rows", 10, "ewoc_code",
    ),
    Source(
        "corsica", CLASSIFICATION,
        "src/worldcereal/data/month/2022_FRA_LPIS_POLY_110.geoparquet", "rows", 30, "ewoc_code",
    ),
    Source(
        "flanders", CLASSIFICATION,
        "tests/worldcerealtests/testresources/worldcereal_private_extractions_dummy.parquet/"
        "ref_id=2021_BEL_LPIS-Flanders_POLY_110/data_0.parquet", "rows", 30,
    ),
    Source(
        "africa", CLASSIFICATION,
        "tests/worldcerealtests/testresources/test_public_extractions.parquet", "columns", 30,
        "ewoc_code",
    ),
    Source(
        "brabant", CLASSIFICATION,
        "tests/worldcerealtests/testresources/worldcereal_preprocessed_inputs.nc", "cube", 30,
    ),
    Source(
        "flanders_fields", "WorldCereal/prometheo", "tests/resources/worldcereal_dataset.parquet",
        "columns", 30,
    ),
    Source(
        "world", "WorldCereal/presto-worldcereal", "data/worldcereal_testdf.parquet", "columns", 30,
        "LANDCOVER_LABEL", "none stated",
    ),
    # Forests around flux towers in Germany, Czechia, Denmark and Belgium: every acquisition of
    # 2023 with its Sen2Cor classes.
    Source(
        "towers", "kenoz/SITS_utils", "output01/S2_fid-*_image_2023*.nc", "scenes",
        licence="GPL-3.0", commit="77bda81a988e", offset_dn=1000,
    ),
    # Parcels in Finland, 2019.
    Source(
        "finland", "ollinevalainen/satellitetools", "output/*example_netcdf.nc", "scenes",
        commit="dfefdfa2cfd1",
    ),
    # Two years of pixels about Berlin.
    Source(
        "berlin", "LUP-LuftbildUmweltPlanung/SITS_classification",
        "pytorch/example/_SITSrefdata/sepfiles/*/csv/*.csv", "force", licence="GPL-3.0",
    ),
    # Grassland plots in Franconia, two years.
    Source("franconia", "Siedrid/gRasslands", "data-raw/refl.df.csv", "plots"),
    # Amazonia: forest, clearings and pasture, clouds in, but for the last two.
    Source(
        "amazonia", "albhasan/bdc_amazonia", "data/samples/samples_tb.rds", "tibbles", 16, "label",
    ),
    Source(
        "roraima", "albhasan/bdc_amazonia", "roraima/data/samples/samples.rds", "tibbles", 16,
        "label",
    ),
    Source(
        "rondonia", "albhasan/deforestation-sentinel2", "data/validation/samples_[AB]_raw.rds",
        "tibbles", 10, "label",
    ),
    Source(
        "rondonia_cleared", "Open-Earth-Monitor/openeocraft",
        "inst/demo-lps-2025/data/samples_prodes_4classes.rds", "tibbles", 16, "label",
    ),
    Source(
        "rondonia_months", "Open-Earth-Monitor/openeocraft",
        "inst/demo-lps-2025/data/samples_deforestation_rondonia_1M.rds", "tibbles", 30, "label",
        held_out=True,
    ),
)  # fmt: skip
