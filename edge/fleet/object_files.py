"""Of which files of the plan an object is a part."""

from __future__ import annotations

from edge.fleet.files import File
from edge.media_map import MediaMap


class ObjectFiles:
    """Files by what their manifests say of objects."""

    def __init__(self, media_map: MediaMap) -> None:
        self._map = media_map
        self._of_rendition: dict[tuple[str, str], list[File]] = {}

    def clear(self) -> None:
        self._of_rendition = {}

    def add(self, manifest_url: str, file: File) -> None:
        key = manifest_url, file.planned.rendition
        self._of_rendition.setdefault(key, []).append(file)

    def of(self, url: str) -> list[File]:
        return [
            file
            for place in self._map.places(url)
            for file in self._of_rendition.get((place.title_url, place.representation_id), ())
            if file.planned.until_s is None or place.segment.start_s < file.planned.until_s
        ]
