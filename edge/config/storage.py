"""How the object store is watched."""

from __future__ import annotations

from edge.config.ranges import NotNegative, Share
from nearcast.config import Section


class StorageConfig(Section, frozen=True, kw_only=True):
    """Whatever is set here: what the disk held when the node started is compared with its checksum
    before it is sent for the first time."""

    verify_share: Share = 1 / 256
    """Of the later openings of an object, those that check it again."""
    scrub_kbps: NotNegative = 8_000.0
    """How fast everything is read and checked in the background, again and again; 0 for never."""

    @property
    def verify_every(self) -> int:
        """One opening in so many; 0 for none."""
        return round(1 / self.verify_share) if self.verify_share > 0 else 0
