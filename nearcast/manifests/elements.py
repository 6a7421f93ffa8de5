"""Parse the XML of an MPD, and walk through it without minding namespaces."""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from nearcast.errors import RemoteProtocolError
from nearcast.manifests.limits import ELEMENT_COUNT_MAX, check_text


def parse_xml(text: bytes) -> etree._Element:
    """The root element. Raises RemoteProtocolError."""
    document = check_text(text)
    # libxml2 has defences of its own; these keep us from having to rely on them.
    if "<!DOCTYPE" in document or "<!ENTITY" in document:
        raise RemoteProtocolError("the MPD has a document type declaration, which is not allowed")
    if document.count("<") > ELEMENT_COUNT_MAX:
        raise RemoteProtocolError(f"the MPD has more than {ELEMENT_COUNT_MAX} tags")
    parser = etree.XMLParser(
        encoding="utf-8",  # whatever the declaration says: this is what was checked above
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(document.encode(), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise RemoteProtocolError(f"the MPD is not well-formed XML: {error}") from error
    if root is None or root.getroottree().docinfo.internalDTD is not None:
        raise RemoteProtocolError("the MPD has a document type declaration, which is not allowed")
    return root


def name_of(element: etree._Element) -> str:
    """Its tag, without namespace."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def children(element: etree._Element, name: str) -> Iterator[etree._Element]:
    return (child for child in element if name_of(child) == name)


def child(element: etree._Element, name: str) -> etree._Element | None:
    """The first of that name."""
    return next(children(element, name), None)
