"""Whether a fetched object is worth storing: one file per policy, one line in the table."""

from cache.admission.policies import ADMISSION_POLICIES, AdmissionParams, build_admission
from cache.admission.policy import AdmissionPart, AdmissionPolicy

__all__ = [
    "ADMISSION_POLICIES",
    "AdmissionParams",
    "AdmissionPart",
    "AdmissionPolicy",
    "build_admission",
]
