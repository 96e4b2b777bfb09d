"""Sending requests to a web service: one function, which QGIS replaces by its own."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ...errors import SeriesError

_TIMEOUT = 30.0  # seconds without an answer
_TRIES = 5
_PAUSE = 0.5  # seconds after the first failure; each pause is twice the one before
_AGAIN = (429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Login:
    """Who asks. It lives in memory only: no file, log or message holds one.

    Attributes:
        user: name, or access key.
        password: password, or secret key.
        configuration: authentication configuration of QGIS, by which QGIS sends requests.
    """

    user: str
    password: str = field(repr=False)
    configuration: str = ""


@dataclass(frozen=True)
class Request:
    """A request.

    Attributes:
        url: address.
        body: JSON to post; None to get.
        headers: beside those that the transport adds.
        login: of a service that asks for one; sent to the server of the address only.
    """

    url: str
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    login: Login | None = None


@dataclass(frozen=True)
class Answer:
    """What a server answered.

    Attributes:
        status: of HTTP; 0 if no server answered.
        content: the bytes.
        reason: why no server answered, in the words of the system.
    """

    status: int
    content: bytes = b""
    reason: str = ""


Transport = Callable[[Request], Answer]


def standard_library(request: Request) -> Answer:
    """Send a request with urllib."""
    body = None if request.body is None else json.dumps(request.body).encode()
    headers = {"Accept": "application/json, application/geo+json", **request.headers}
    if body is not None:
        headers["Content-Type"] = "application/json"
    if urlsplit(request.url).scheme not in ("http", "https"):  # a server may name any next page
        return Answer(0, reason=f"{request.url} is no web address")
    made = urllib.request.Request(request.url, body, headers)
    if request.login is not None:
        pair = f"{request.login.user}:{request.login.password}".encode()
        # Not sent on where the server redirects to another.
        made.add_unredirected_header("Authorization", f"Basic {b64encode(pair).decode()}")
    try:
        with urllib.request.urlopen(made, timeout=_TIMEOUT) as answer:  # nosec B310  # web addresses only
            return Answer(answer.status, answer.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, _body(error))
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Answer(0, reason=str(getattr(error, "reason", error)))


def _body(error: urllib.error.HTTPError) -> bytes:
    try:
        return error.read()
    except (OSError, http.client.HTTPException):
        return b""


_current: list[Transport] = [standard_library]


def use_transport(transport: Transport) -> None:
    """Send all requests from now on by this function."""
    _current[0] = transport


def fetch_json(request: Request, check: Callable[[], None]) -> Any:
    """Return the JSON that a server answers; busy servers and broken answers are asked again.

    Args:
        request: what to send.
        check: called before each try; may raise to stop.

    Raises:
        SeriesError: no answer, a refusal, or an answer that is no JSON; one sentence says what.
    """
    address = urlsplit(request.url)
    host = address.hostname or request.url
    if address.scheme not in ("http", "https"):  # urllib would open files too
        raise SeriesError(
            f"The service names {request.url[:200]!r}, which is no address on the web; do not "
            "trust it."
        )
    problem = ""
    for number in range(_TRIES):
        check()
        answer = _current[0](request)
        if answer.status == 200:
            try:
                return json.loads(answer.content)
            except (ValueError, RecursionError):
                if answer.content.lstrip()[:1] == b"<":
                    raise SeriesError(
                        f"{host} answers with a web page instead of data: check the address, and "
                        "whether the network or the service asks for a login first."
                    ) from None
                problem = "an answer that was broken off"
        elif answer.status in (401, 403, 407):
            raise SeriesError(
                f"{host} refuses the request ({answer.status}): it asks for a login or a key that "
                "it did not get."
            )
        elif answer.status and answer.status not in _AGAIN:
            raise SeriesError(
                f"{host} refuses the request ({answer.status}{_said(answer.content)}); check the "
                "address and the collection."
            )
        elif "certificate" in answer.reason.lower() or "ssl" in answer.reason.lower():
            raise SeriesError(
                f"The certificate of {host} does not hold ({answer.reason}): ask who runs your "
                "network whether it looks into encrypted traffic."
            )
        else:
            problem = answer.reason or f"status {answer.status}"
        if number < _TRIES - 1:
            time.sleep(_PAUSE * 2**number)
    raise SeriesError(
        f"{host} does not answer ({problem}): check the network and the address, then try again."
    )


def _said(content: bytes) -> str:
    """Return what the body of a refusal says, shortened."""
    try:
        body = json.loads(content)
        text = body.get("detail") or body.get("description") or body.get("message") or ""
    except (ValueError, AttributeError):
        return ""
    return f": {str(text)[:200]}" if text else ""
