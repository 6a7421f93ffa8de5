"""Whether a fetched object is worth storing: one file per policy, one line in the table."""

from cache.admission.policies import ADMISSION_POLICIES
from cache.admission.policy import AdmissionPolicy

__all__ = ["ADMISSION_POLICIES", "AdmissionPolicy"]
