"""XML of others: read, or refused where its entities could fill the memory."""

import pytest

from alise_plugin.sits.area.transport import Request, standard_library
from alise_plugin.xml_elements import EntitiesError, parse_xml

GROWING = '<!DOCTYPE a [<!ENTITY b "xx"><!ENTITY c "&b;&b;">]><a>&c;</a>'


@pytest.mark.parametrize(
    "content",
    [
        GROWING,
        GROWING.encode(),
        f'<?xml version="1.0" encoding="utf-16"?>{GROWING}'.encode("utf-16"),
    ],
)
def test_entities_are_refused_in_every_encoding(content):
    with pytest.raises(EntitiesError, match="entities"):
        parse_xml(content)


def test_xml_without_entities_is_read():
    assert parse_xml(b"<a><b>1</b></a>").findtext("b") == "1"
    assert parse_xml('<a b="&lt;"/>').get("b") == "<"


def test_a_server_cannot_name_a_local_file_as_its_next_page(tmp_path):
    page = tmp_path / "page.json"
    page.write_text("{}")
    answer = standard_library(Request(page.as_uri()))
    assert answer.status == 0
    assert "no web address" in answer.reason
