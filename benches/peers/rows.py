"""What is measured, and what mailferry should reach."""

from dataclasses import dataclass
from typing import Callable

import mail

PEERS = ("mpop", "fdm", "getmail6", "fetchmail")
FLOORS = ("discard", "write")


@dataclass(frozen=True)
class Target:
    """What mailferry's figure is at most, or, with `against`, its ratio to that of these programs in the same round: to
    the lowest of theirs, or, where they are floors, to the highest."""

    figure: str  # wall, cpu or peak: see measure.FIGURES
    limit: float
    against: tuple = ()
    floors: bool = False


@dataclass(frozen=True)
class Row:
    """One kind of work."""

    name: str
    title: str
    messages: Callable  # a seed in, messages out
    targets: tuple
    others: tuple = PEERS  # what mailferry is compared with
    tls: bool = False
    rtt_ms: int = 0
    storage: str = "disk"  # or memory
    delete: bool = False
    again: bool = False  # everything was fetched before: what is measured is that there is nothing new
    count_fsyncs: bool = False
    limit_s: int = 180  # for one run


ROWS = [
    Row("mixed", "1,000 mixed messages, 18 MB, cleartext", mail.mixed,
        (Target("wall", 0.3, ("mpop",)), Target("cpu", 0.6, ("mpop",))), count_fsyncs=True),
    Row("mixed-tls", "1,000 mixed messages, 18 MB, TLS", mail.mixed, (Target("wall", 0.3, ("mpop",)),), tls=True),
    Row("floors", "1,000 mixed messages, 18 MB, cleartext, and what is below: reading them, and writing their files",
        mail.mixed, (Target("wall", 1.15, FLOORS, floors=True),), others=FLOORS, count_fsyncs=True),
    Row("bare", "1,000 mixed messages, 18 MB, cleartext, and one fsync after the other without checks", mail.mixed,
        (Target("wall", 0.6, ("bare",)),), others=("bare",), count_fsyncs=True),
    Row("memory", "1,000 mixed messages, 18 MB, cleartext, in memory, and writing plain files", mail.mixed,
        (Target("wall", 1.3, ("bare-no-sync",)),), others=("bare-no-sync", *FLOORS), storage="memory"),
    Row("far", "200 messages at 40 ms round-trip time, cleartext", mail.small(200), (Target("wall", 0.40),), rtt_ms=40),
    Row("far-first", "200 mixed messages, 3.6 MB, at 40 ms round-trip time, nothing remembered, cleartext",
        mail.some_mixed, (Target("wall", 0.30),), rtt_ms=40),
    Row("farther-first", "200 mixed messages, 3.6 MB, at 200 ms round-trip time, nothing remembered, cleartext",
        mail.some_mixed, (), rtt_ms=200),
    Row("far-idle", "nothing new among 50 at 40 ms round-trip time, cleartext", mail.small(50),
        (Target("wall", 0.17),), rtt_ms=40, again=True),
    Row("far-idle-tls", "nothing new among 50 at 40 ms round-trip time, TLS", mail.small(50),
        (Target("wall", 0.25),), rtt_ms=40, again=True, tls=True),
    Row("tiny", "20,000 tiny messages, 8 MB, cleartext", mail.tiny(20_000), (Target("wall", 0.14, ("mpop",)),),
        limit_s=900),
    Row("idle", "nothing new among 20,000 kept messages, cleartext", mail.tiny(20_000),
        (Target("wall", 0.8, PEERS), Target("cpu", 0.5, PEERS)), again=True, limit_s=900),
    Row("idle-many", "nothing new among 100,000 kept messages, cleartext", mail.tiny(100_000), (Target("peak", 9.0),),
        others=(), again=True, limit_s=900),
    Row("huge", "one message of 300 MB, cleartext", mail.one(300_000_000), (Target("peak", 10.0),)),
    Row("delete", "1,000 mixed messages, 18 MB, cleartext, deleted after delivery", mail.mixed, (), delete=True,
        count_fsyncs=True),
]
