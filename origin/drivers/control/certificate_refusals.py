"""Client certificates that the TLS stack turns away: counted, and a line in the log.

TLS ends such a connection before anything was said, so neither the desk nor the edge's own log has
the reason; and whose certificate it was is not to be had then, only from which address it came.
"""

from __future__ import annotations

import logging
import ssl
from collections import Counter
from typing import Final, Literal

logger = logging.getLogger(__name__)

LOG_S: Final = 10.0
"""Between two lines: anyone may knock as often as they like."""

Reason = Literal["expired", "not_yet_valid", "another_authority", "other"]

# X509_V_ERR_* of OpenSSL.
_REASONS: Final[dict[int, Reason]] = {
    9: "not_yet_valid",
    10: "expired",
    **dict.fromkeys((7, 18, 19, 20, 21), "another_authority"),
}
_ADVICE: Final[dict[Reason, str]] = {
    "expired": "enrol that edge again",
    "not_yet_valid": "set the clocks of that edge and of this origin",
    "another_authority": "it belongs to another fleet; enrol that edge here",
    "other": "enrol that edge again",
}


class CertificateRefusals:
    def __init__(self) -> None:
        self.counts: Counter[Reason] = Counter()
        self._told_s: float | None = None
        self._untold_count = 0

    def seen(self, error: ssl.SSLCertVerificationError, peer: str, now_s: float) -> None:
        """A handshake has failed by this."""
        reason = _REASONS.get(error.verify_code, "other")
        self.counts[reason] += 1
        if self._told_s is not None and now_s < self._told_s + LOG_S:
            self._untold_count += 1
            return
        logger.warning(
            "control.certificate_refused reason=%s peer=%s untold=%d detail=%s: %s",
            reason, peer, self._untold_count, error.verify_message, _ADVICE[reason],
        )  # fmt: skip
        self._told_s, self._untold_count = now_s, 0
