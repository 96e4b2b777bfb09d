"""Signed addresses: a service's token for a container, renewed before it expires."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from urllib.parse import urlsplit

from ...errors import SeriesError
from .transport import Request, fetch_json

# Seconds before its end at which a token is renewed, or half of its life: a file takes a while.
_SPARE = 60.0


class Signer:
    """Adds tokens to addresses; one token serves all files of a container.

    Tokens live in this object only: no file, log or message holds one.

    Args:
        address: that gives tokens, with `/account/container` behind it; empty for files that need
            none.
        check: called before each request; may raise to stop.
    """

    def __init__(self, address: str, check: Callable[[], None]) -> None:
        self._address = address
        self._check = check
        self._tokens: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def signed(self, href: str, refused: str = "") -> str:
        """Return an address with which the file can be read for a while.

        Args:
            href: of the file.
            refused: address, signed before, that the service refused: its token is replaced,
                by the first of the files that find it refused.

        Raises:
            SeriesError: the service gives no token.
        """
        if not self._address or urlsplit(href).query or not href.startswith("http"):
            return href
        parts = urlsplit(href)
        key = f"{parts.netloc.split('.')[0].split(':')[0]}/{parts.path.split('/')[1]}"
        with self._lock:
            token, until = self._tokens.get(key, ("", 0.0))
            if refused == f"{href}?{token}" or time.time() >= until:
                token, until = self._new(key)
                self._tokens[key] = token, until
        return f"{href}?{token}"

    def _new(self, key: str) -> tuple[str, float]:
        answer = fetch_json(Request(f"{self._address}/{key}"), self._check)
        try:
            token = str(answer["token"]).lstrip("?")
            text = str(answer["msft:expiry"]).replace("Z", "+00:00")
            end = datetime.fromisoformat(text)
        except (KeyError, TypeError, ValueError):
            raise SeriesError(
                f"{urlsplit(self._address).netloc} gives no token for {key}; try again later, or "
                "choose another SERVICE."
            ) from None
        expiry = (end if end.tzinfo else end.replace(tzinfo=timezone.utc)).timestamp()
        left = expiry - time.time()
        return token, expiry - min(_SPARE, max(0.0, left) / 2)
