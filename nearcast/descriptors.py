"""How many files and sockets this process may have open."""

from __future__ import annotations

DESCRIPTORS = 65_536
"""What a server asks for; the usual 1,024 would end a full house."""


def raise_descriptor_limit(wanted: int = DESCRIPTORS) -> int:
    """Have at least `wanted`, or as many as the system grants; the limit from now on."""
    try:
        import resource
    except ImportError:  # not a POSIX system
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    able = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft != resource.RLIM_INFINITY and soft < able:
        resource.setrlimit(resource.RLIMIT_NOFILE, (able, hard))
        return able
    return wanted if soft == resource.RLIM_INFINITY else soft
