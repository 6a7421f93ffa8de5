"""The family's table."""

from __future__ import annotations

from cache.admission.always import Always
from cache.admission.policy import AdmissionFactory
from cache.admission.second_hit import SecondHit
from cache.admission.size_limit import SizeLimit
from nearcast.table import Table

ADMISSION_POLICIES: Table[AdmissionFactory] = Table(
    "admission policy",
    {
        "always": Always,
        "second_hit": SecondHit,
        "size_limit": SizeLimit,
    },
)
