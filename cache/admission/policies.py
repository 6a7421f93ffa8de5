"""The family's table, and the settings that follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cache.admission.always import Always
from cache.admission.policy import AdmissionPart, AdmissionPolicy
from cache.admission.second_hit import SecondHit, SecondHitParams
from cache.admission.size_limit import SizeLimit, SizeLimitParams
from cache.admission.worth import Worth, WorthParams
from nearcast.config import Section
from nearcast.table import Table, sections

ADMISSION_POLICIES: Table[AdmissionPart] = Table(
    "admission policy",
    {
        "always": AdmissionPart(Section, Always),
        "second_hit": AdmissionPart(SecondHitParams, SecondHit),
        "size_limit": AdmissionPart(SizeLimitParams, SizeLimit),
        "worth": AdmissionPart(WorthParams, Worth),
    },
)

if TYPE_CHECKING:
    AdmissionParams = Section
else:
    AdmissionParams = sections(
        "AdmissionParams",
        {name: ADMISSION_POLICIES.get(name).params for name in ADMISSION_POLICIES},
        __name__,
    )


def build_admission(
    name: str, capacity_bytes: int, params: AdmissionParams | None = None
) -> AdmissionPolicy:
    """The policy called `name` for a tier of that many bytes. Raises ConfigError that lists the
    names there are."""
    part = ADMISSION_POLICIES.get(name)
    return part.build(capacity_bytes, part.params() if params is None else getattr(params, name))
