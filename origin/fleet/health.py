"""Whether an edge is up, judged from several witnesses.

Nobody sees an edge whole. It says itself that it lives (heartbeats, every second in a small fleet,
every five at 1,000 edges); three other edges, its *observers*, look at it every second and speak up
after two failures in a row; this origin looks at it when there is a reason to, and every minute
without one; players say when they could not fetch. What they say adds up:

    for down  observers that claim it               1 each
              the origin's probes failed            1 each in a row, to 3; refused, or answered by
                                                    somebody else: 3 at once
              no heartbeats: overdue or cut off     1
    for up    observers that could have noticed, are heard, and say nothing   1 each
              the origin's last probe was answered  2
              a heartbeat came since the question and the first claim that stands   1

    unknown   enrolled, not heard. An edge of which the database has a fresh heartbeat starts as
              alive, so an origin that starts again goes on where it was
    alive     -> suspect  at 2 for down; or when it was silent for long, though it answers
    suspect   -> dead     at 4 for down and more than for up, and two kinds of witness: two claims,
                          the probes, no heartbeats (refusing counts with a single claim); while
                          heartbeats come, by three failed probes. Or, of an edge that the origin
                          cannot reach anyway, three claims and within 1.5 s nothing for up
              -> alive    after 3 s below 2, with a sign of life
    dead      -> suspect  when it is heard and, if the origin ever reached it, answers; it is then
                          on trial for 5 s, doubled by each death within ten minutes, to 160 s

The first piece of evidence *questions* an edge: nothing changes, but the origin probes it at once
and goes on until it is clear. Players' errors and a broken connection to this origin question;
anybody can send a player's error, so that is all it does.

In time. An edge whose process is killed breaks its connection, is probed at once and refuses:
1 + 3, dead within milliseconds. One whose power fails answers nobody: its observers begin a probe
within 1 s, which fails after 0.8 s, the next by 2.8 s; the origin's own fail at 3.6 and 4.5 s:
2 + 2. In a fleet of one, heartbeats are overdue after 2 s and three probes fail by 4.6 s. Where the
origin has no way to the edges, three claims do, by 4.3 s.

False alarms, at 1 % of probes lost. An observer claims wrongly 1e-4 times a second and takes it
back 0.2 s later, when its next probe is answered. 1,000 edges are questioned 1,080 times an hour,
and clear before a lost probe of the origin's is known to be lost; two of the minute's round are
lost in a row 8 times: 8 suspects an hour. Death takes two wrong claims that overlap (1,080 x 2 x
2e-5) and two lost probes, which outlast both: less than 4e-6 an hour. Measured: docs/fleet.md.

Cut off.
- An observer that claims two or more and over half of what it looks at is *doubtful*: its claims
  count only where the origin's own probe failed too. Where the edges answer, it is suspect itself;
  of that nobody dies.
- An origin that hears nobody judges nobody: a death takes that another edge was heard since the
  question. Where more than half of the fleet is silent, it also takes two claims that are not
  doubtful, or a refusal: the network that carries one works. In a fleet of one or two there is
  nobody else to ask, and both rules are off.
- An origin that cannot read the database, while an edge speaks to another origin, knows nothing of
  its heartbeats: it looks itself each second, and a refusal or four failed probes in a row count as
  silence too. At 1 % lost that is one in 10^8 looks.
- A region that cannot see another makes three claims, for as long as it lasts; but the probes are
  answered and heartbeats come. The edge is suspect, which is served last. Dying takes three failed
  probes in a row then: at 1 % lost once in 550 hours for each such edge. Only where the origin has
  no way to the edges and heartbeats come each five seconds are three such claims believed too soon.
"""

from __future__ import annotations

from typing import Final

import msgspec

SUSPECT_SCORE: Final = 2
DEAD_SCORE: Final = 4
PROBE_SCORE_MAX: Final = 3
UNSEEN_CLAIMS: Final = 3
BLIND_FAILURES: Final = 4
WITNESS_S: Final = 1.5
"""In a small fleet a heartbeat comes within it."""
SILENT_SHARE_MAX: Final = 0.5
FLEET_SIZE_MIN: Final = 3
"""Below, an origin cannot tell its own silence from the edges'."""


class Evidence(msgspec.Struct, frozen=True):
    """What is known of one edge at one time, counted."""

    claims: int = 0
    """Observers that say it is down and are believed."""
    doubtful_claims: int = 0
    silent_observers: int = 0
    """Observers that were heard since they could have noticed, and say nothing."""
    probe_failures: int = 0
    is_refused: bool = False
    """Nobody listens where it should be, or somebody else does."""
    is_another_there: bool = False
    is_probe_ok: bool = False
    """The last probe since the question was answered."""
    is_quiet: bool = False
    """Heartbeats are overdue, or their connection broke and none came since."""
    is_silent_long: bool = False
    """Overdue several times over."""
    is_blind: bool = False
    """Its heartbeats go to another origin, and what that hears cannot be read now."""
    is_unseen: bool = False
    """The origin has no way to it, and asked its witnesses WITNESS_S ago or before."""
    is_heard: bool = False
    """A heartbeat came since the question and the first claim that stands, and lately."""
    wrong_claims: int = 0
    """What it says of most others it looks at, and what they contradict."""


class Surroundings(msgspec.Struct, frozen=True):
    """What is known of this origin's own sight."""

    fleet_size: int
    others_heard: bool
    """Somebody else was heard since the question."""
    silent_share: float
    """Of the edges that are not dead, how many were not heard for too long."""


class Verdict(msgspec.Struct, frozen=True):
    down: int
    up: int
    is_suspect: bool
    is_dead: bool
    reason: str


def judge(evidence: Evidence, around: Surroundings) -> Verdict:
    """What follows from the evidence, whatever the edge's state is now."""
    probe = PROBE_SCORE_MAX if evidence.is_refused else evidence.probe_failures
    probe = min(probe, PROBE_SCORE_MAX)
    claims = evidence.claims + (evidence.doubtful_claims if probe else 0)
    is_gone = evidence.is_refused or evidence.probe_failures >= BLIND_FAILURES
    quiet = 1 if evidence.is_quiet or (evidence.is_blind and is_gone) else 0
    down = claims + probe + quiet
    up = evidence.silent_observers + 2 * evidence.is_probe_ok + evidence.is_heard
    kinds = (claims >= (1 if evidence.is_refused else 2)) + (probe > 0) + quiet
    is_proven = down >= DEAD_SCORE and down > up and kinds >= 2
    if evidence.is_heard:
        # Claims may stand for hours (a broken path between regions): one lost probe would do.
        is_proven = is_proven and probe >= PROBE_SCORE_MAX
    if evidence.is_unseen:
        is_proven = is_proven or (claims >= UNSEEN_CLAIMS and not up)
    sees = _sees(around, evidence)
    return Verdict(
        down=down,
        up=up,
        # Silence and failed probes may be this origin's own; claims and refusals are not.
        is_suspect=(
            (down >= SUSPECT_SCORE and (sees or claims >= 2))
            or (evidence.is_silent_long and sees)
            or evidence.wrong_claims > 0
        ),
        is_dead=is_proven and sees,
        reason=_reason(evidence, claims, probe),
    )


def _sees(around: Surroundings, evidence: Evidence) -> bool:
    """This origin is not itself the one that is cut off."""
    if around.fleet_size < FLEET_SIZE_MIN or evidence.is_refused:
        return True
    if not around.others_heard:
        return False
    return around.silent_share <= SILENT_SHARE_MAX or evidence.claims >= 2


def _reason(evidence: Evidence, claims: int, probe: int) -> str:
    said: list[str] = []
    if evidence.is_another_there:
        said.append("somebody else answers at its URL")
    elif evidence.is_refused:
        said.append("refuses connections")
    elif probe:
        said.append("does not answer the origin's probes")
    if claims:
        said.append(f"{claims} observer{'s' if claims > 1 else ''} cannot reach it")
    if evidence.is_quiet:
        said.append("sends no heartbeats")
    elif said and evidence.is_blind:
        said.append("its heartbeats cannot be read while the database is away")
    elif said and evidence.is_heard:
        said.append("yet sends heartbeats")
    if evidence.wrong_claims:
        said.append(f"cannot reach {evidence.wrong_claims} others, which answer")
    return ", ".join(said)
