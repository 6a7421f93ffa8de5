"""DASH and HLS manifests, read into and written from `nearcast.media.Presentation`."""

from nearcast.manifests.alternates import read_alternates
from nearcast.manifests.hls import HlsMaster, alone
from nearcast.manifests.index_reader import FoundIndex, IndexPlace, IndexReader
from nearcast.manifests.indexed import IndexedMpd
from nearcast.manifests.playlist import MediaPlaylist
from nearcast.manifests.rates import measured_rates_kbps
from nearcast.manifests.read import (
    Manifest,
    foreign_urls,
    is_manifest,
    origin_of,
    read_manifest,
    read_part,
)
from nearcast.manifests.steering_tags import HOME, Pathway, SteeringTag, read_dash_tag
from nearcast.manifests.write_dash import MpdWriter, write_mpd
from nearcast.manifests.write_hls import MasterWriter, write_master, write_media

__all__ = [
    "HOME",
    "FoundIndex",
    "HlsMaster",
    "IndexPlace",
    "IndexReader",
    "IndexedMpd",
    "Manifest",
    "MasterWriter",
    "MediaPlaylist",
    "MpdWriter",
    "Pathway",
    "SteeringTag",
    "alone",
    "foreign_urls",
    "is_manifest",
    "measured_rates_kbps",
    "origin_of",
    "read_alternates",
    "read_dash_tag",
    "read_manifest",
    "read_part",
    "write_master",
    "write_media",
    "write_mpd",
]
