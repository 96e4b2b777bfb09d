"""XML that others wrote, read so that entities in it cannot grow without bound."""

from __future__ import annotations

import xml.etree.ElementTree as ET  # nosec B405  # parse_xml refuses entities


class EntitiesError(ET.ParseError):
    """The XML declares entities, which neither a product nor a VRT does."""


def parse_xml(content: bytes | str) -> ET.Element:
    """Return the root of an XML document.

    Raises:
        EntitiesError: it declares entities; a few lines of them can fill the memory.
        ET.ParseError: it is no XML, or is cut off.
    """
    raw = content if isinstance(content, bytes) else content.encode()
    if b"<!ENTITY" in raw.replace(b"\0", b""):  # without the zeros of UTF-16
        raise EntitiesError("it declares XML entities")
    return ET.fromstring(content)  # nosec B314  # entities are refused above
