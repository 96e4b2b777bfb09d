"""STAC services of Sentinel-2 L2A that need no set-up, and how each gives out its files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from ...errors import SeriesError
from .transport import Login, Request

OTHER = "other"


@dataclass(frozen=True)
class Service:
    """A STAC API.

    Attributes:
        name: for messages.
        address: of the API, without a slash at the end.
        collection: its Sentinel-2 L2A.
        tokens: address that signs the files of a container, for services that sign; see `tokens`.
        dn_as_delivered: whether the items say nothing of scale and offset, and DN are as ESA
            delivers them: reflectance x 10^4, with an offset of 1000 from baseline 04.00 on.
        gdal_options: what GDAL needs to read the files.
        key_variables: environment variables that hold the access key and the secret key, and the
            option of GDAL for each.
        login: of the user, if the service asks for one.
    """

    name: str
    address: str
    collection: str
    tokens: str = ""
    dn_as_delivered: bool = False
    gdal_options: Mapping[str, str] = field(default_factory=dict)
    key_variables: Mapping[str, str] = field(default_factory=dict)
    login: Login | None = None

    def request(self, url: str, body: Mapping[str, Any] | None = None) -> Request:
        """Return a request to the service; its own server alone gets the login."""
        own = urlsplit(url)[:2] == urlsplit(self.address)[:2] and not self.key_variables
        return Request(url, body, login=self.login if own else None)

    def options_of(self, href: str) -> dict[str, str]:
        """Return the options with which GDAL reads a file, the login among them.

        Raises:
            SeriesError: a key is missing.
        """
        if self.key_variables:
            return self.read_options()
        login = self.request(href).login
        if login is None or not login.user:  # QGIS alone knows other methods than Basic
            return dict(self.gdal_options)
        pair = f"{login.user}:{login.password}"
        return {**self.gdal_options, "GDAL_HTTP_AUTH": "BASIC", "GDAL_HTTP_USERPWD": pair}

    def read_options(self) -> dict[str, str]:
        """Return the options with which GDAL reads the files, keys among them.

        Raises:
            SeriesError: a key is missing.
        """
        options = dict(self.gdal_options)
        given = (self.login.user, self.login.password) if self.login else ("", "")
        for (variable, option), key in zip(self.key_variables.items(), given):
            value = key or os.environ.get(variable) or os.environ.get(option)
            if not value:
                raise SeriesError(
                    f"{self.name} gives its files to holders of a key only: give access key and "
                    "secret key as LOGIN, or put them into the environment variables "
                    f"{' and '.join(self.key_variables)}."
                )
            options[option] = value
        return options


SERVICES = {
    # Open COGs on AWS, no account. Its older collection sentinel-2-l2a states wrong offsets.
    "earthsearch": Service(
        "Earth Search", "https://earth-search.aws.element84.com/v1", "sentinel-2-c1-l2a"
    ),
    # https://planetarycomputer.microsoft.com/docs/concepts/sas/
    "planetarycomputer": Service(
        "Planetary Computer",
        "https://planetarycomputer.microsoft.com/api/stac/v1",
        "sentinel-2-l2a",
        tokens="https://planetarycomputer.microsoft.com/api/sas/v1/token",
        dn_as_delivered=True,
    ),
    # https://documentation.dataspace.copernicus.eu/APIs/S3.html
    "copernicus": Service(
        "Copernicus Data Space",
        "https://stac.dataspace.copernicus.eu/v1",
        "sentinel-2-l2a",
        dn_as_delivered=True,
        gdal_options={
            "AWS_S3_ENDPOINT": "eodata.dataspace.copernicus.eu",
            "AWS_VIRTUAL_HOSTING": "FALSE",
            "AWS_DEFAULT_REGION": "default",
        },
        key_variables={
            "CDSE_S3_ACCESS_KEY": "AWS_ACCESS_KEY_ID",
            "CDSE_S3_SECRET_KEY": "AWS_SECRET_ACCESS_KEY",  # nosec B105  # a name  # pragma: allowlist secret
        },
    ),
}


def service_of(choice: str, address: str, collection: str, login: Login | None = None) -> Service:
    """Return the service that a user chose.

    Args:
        choice: a key of `SERVICES`, or `OTHER`.
        address: of another STAC API.
        collection: to search; the service's own if empty.
        login: of the user.

    Raises:
        SeriesError: an address or a collection is missing, or is given where it means nothing.
    """
    if choice != OTHER:
        if address:
            raise SeriesError(f'ADDRESS is for SERVICE "{OTHER}"; choose that, or leave it empty.')
        known = SERVICES[choice]
        if login is not None and not known.key_variables:
            raise SeriesError(f"{known.name} asks for no login; leave LOGIN empty.")
        return replace(known, collection=collection or known.collection, login=login)
    if not address.lower().startswith(("http://", "https://")):
        raise SeriesError(
            f'SERVICE "{OTHER}" needs the address of a STAC API in ADDRESS, which begins with '
            "https://."
        )
    parts = urlsplit(address)
    if parts.username or parts.password or parts.query:
        raise SeriesError(
            "ADDRESS holds a password or a key, which would stay in logs and files: give the "
            "address without it."
        )
    if not collection:
        raise SeriesError(f'SERVICE "{OTHER}" needs the name of a collection in COLLECTION.')
    return Service(address, address.rstrip("/"), collection, login=login)
