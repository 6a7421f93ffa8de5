"""The section [models]: which models of the origin are taken, and when one replaces another."""

from __future__ import annotations

from edge.config.ranges import Count, CountOrNone, NotNegative, Positive
from nearcast.config import Section


class ModelsConfig(Section, frozen=True, kw_only=True):
    """Models from the origin's registry. Those in `prefetch.model` come from the operator's hand:
    they need no signature, unless keys are set here."""

    public_keys: tuple[str, ...] = ()
    """Ed25519 keys, as files or as base64 text; a model must be signed with one of them. None:
    nothing is taken from the registry."""
    revoked_keys: tuple[str, ...] = ()
    """Ids of keys that are trusted no more, though they are in `public_keys`."""
    service: str = ""
    """Whose upstream has the registry, where there are several; empty: the first."""
    poll_s: Positive = 300.0
    """How often the registry is asked; longer, and not all edges at once, while it fails."""
    shadow_outcomes: Count = 500
    """A new model answers beside the active one until it is known of so many plays that both were
    asked about whether the viewer went on."""
    shadow_s_max: Positive = 7 * 86_400.0
    """On a quiet node fewer decide after this time..."""
    quiet_outcomes: CountOrNone = 100
    """...but so many it must be; until then a new model stays a shadow. 0: time alone decides."""
    probation_outcomes: Count = 500
    """After the switch the model before goes on answering beside the new one for so many."""
    log_loss_margin: NotNegative = 0.01
    """How much worse than the other model's a log-loss may be, on the same questions."""
    ece_margin: NotNegative = 0.02
    """The same for the expected calibration error."""
    decline_margin: NotNegative = 0.15
    """A model whose log-loss has grown by this much since it was new, and is above that of knowing
    the base rate alone, is given up."""
    base_margin: NotNegative = 0.05
    """How far above that of the base rate a log-loss may be at all, beyond chance."""
    ece_max: NotNegative = 0.15
    """How large a calibration error may be at all, beyond chance."""
    latency_s_max: Positive = 0.05
    """The slowest answer in a hundred, measured around the model."""
    errors_max: CountOrNone = 3
    """Answers in a row that are none; one more and the model is given up."""
    window: Count = 1_000
    """Outcomes that the figures of a model are made of, and plays that a comparison is."""
    pending_max: Count = 20_000
    """Questions whose outcome is waited for; the oldest make room."""
