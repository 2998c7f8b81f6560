"""The table that says which attribute of which part becomes which Prometheus series, an entry for each series.

A scrape reads plain attributes and changes nothing. The values of labels are names of the configuration or words that
the code has chosen. No symbol, address or text of a venue becomes one, so that the number of samples doesn't grow while
the service runs. docs/operations.md has the same table for people, and a test compares the two.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import get_args

import feedbus
from feedbus import errors
from feedbus.actors.shell import ActorShell
from feedbus.bus.publisher import Publisher
from feedbus.feed.connector import Connector
from feedbus.feed.feed import Feed
from feedbus.runtime.supervisor import Supervisor
from feedbus.runtime.wall_clock import WallClock
from feedbus.schema.connections import UP_STATES
from feedbus.schema.events import FeedState
from feedbus.telemetry.loop_lag import LoopLag
from feedbus.telemetry.series import CollectorRegistry, MetricGroup, MetricSeries
from feedbus.telemetry.series import registry as new_registry
from feedbus.telemetry.watchdog import Watchdog

CAUSES = tuple(
    each.cause
    for each in (
        errors.ConnectFailed,
        errors.TimedOut,
        errors.BadData,
        errors.ClosedByPeer,
        errors.RateLimited,
        errors.LoginRefused,
    )
)
"""Every cause has a sample from the beginning, of 0: Prometheus sees no increase in a series that begins with 1."""


class ProcessFigures:
    """What the whole process has one of: the timer that measures the event loop, the machine's clock, the watchdog and
    the log."""

    def __init__(
        self,
        lag: LoopLag,
        clock: WallClock,
        watchdog: Watchdog,
        log_lines: Callable[[], Mapping[str, int]],
        log_lines_left_out: Callable[[], Mapping[str, int]],
    ) -> None:
        self.lag = lag
        self.clock = clock
        self.watchdog = watchdog
        self.log_lines = log_lines
        self.log_lines_left_out = log_lines_left_out
        self.version = feedbus.__version__


def registry(
    feeds: Sequence[Feed],
    publishers: Sequence[Publisher],
    actors: Sequence[ActorShell],
    supervisors: Callable[[], Iterable[Supervisor]],
    process: ProcessFigures,
) -> CollectorRegistry:
    """A registry with every series of a service. Everything is read anew at each scrape, so the parts may change."""

    def connections() -> Iterable[tuple[tuple[str, str], Connector]]:
        return (((feed.name, each.name), each) for feed in feeds for each in feed.connectors)

    return new_registry(
        [
            MetricGroup(("feed",), lambda: (((feed.name,), feed) for feed in feeds), FEED),
            MetricGroup(("feed", "connection"), connections, CONNECTION),
            MetricGroup(("publisher",), lambda: (((each.name,), each) for each in publishers), PUBLISHER),
            MetricGroup(("actor",), lambda: (((each.name,), each) for each in actors), ACTOR),
            MetricGroup(("supervisor",), lambda: (((each.name,), each) for each in supervisors()), SUPERVISOR),
            MetricGroup((), lambda: [((), process)], PROCESS),
            MetricGroup(
                ("version", "python"), lambda: [((process.version, platform.python_version()), process)], BUILD
            ),
        ]
    )


def _states(connector: Connector) -> dict[str, float]:
    """1 for the state of the connection, and 0 for all others."""
    return {state: float(state == connector.state) for state in get_args(FeedState)}


def _instruments(connector: Connector) -> dict[str, float]:
    """Numbers of symbols by the state of their subscription; without a Session, none is further than wanted."""
    found = connector.session.instruments() if connector.session else {"wanted": len(connector.symbols)}
    return {state: found.get(state, 0) for state in ("wanted", "sent", "confirmed", "live", "refused")}


FEED: Sequence[MetricSeries[Feed]] = (
    MetricSeries(
        "feedbus_feed_up",
        "1 when every connection of the feed is logged in, else 0.",
        lambda feed: float(not feed.not_up()),
    ),
    MetricSeries("feedbus_feed_connections_up", "Connections that are logged in.", lambda feed: feed.connections_up()),
    MetricSeries(
        "feedbus_feed_connections_wanted",
        "Connections in the feed's shard plan.",
        lambda feed: feed.connections_wanted(),
    ),
    MetricSeries(
        "feedbus_feed_symbols_wanted",
        "Symbols that the configuration asks for.",
        lambda feed: sum(len(each.symbols) for each in feed.connectors),
    ),
    MetricSeries(
        "feedbus_feed_instruments",
        "Instruments by how far their data may be trusted, each as its worst kind of data.",
        lambda feed: {str(state): count for state, count in feed.trust.judge.states().items()},
        by="state",
    ),
    MetricSeries(
        "feedbus_feed_findings_total",
        "What the data itself has shown of losses: holes in numbers, replays, sums that went back, and so on.",
        lambda feed: feed.trust.judge.checkers.counts.totals() if feed.trust.judge.checkers else {},
        by="finding",
    ),
    MetricSeries(
        "feedbus_feed_repairs_total",
        "Repairs that were ordered, by the rung of the ladder.",
        lambda feed: dict(feed.repairs.ladder.counts),
        by="rung",
    ),
    MetricSeries(
        "feedbus_feed_repairs_held_back_total",
        "Times that a repair was left for later, because the limit of its rung was reached.",
        lambda feed: feed.repairs.ladder.held_back,
    ),
    MetricSeries(
        "feedbus_feed_symbols_priced",
        "Symbols for which a price has arrived since the start.",
        lambda feed: sum(len(each.symbols) - len(each.unpriced) for each in feed.connectors),
    ),
    MetricSeries(
        "feedbus_feed_symbols_refused",
        "Symbols with a subscription that the venue refused and hasn't confirmed since.",
        lambda feed: len({each.symbol for connector in feed.connectors for each in connector.refused}),
    ),
    MetricSeries(
        "feedbus_feed_symbols_missing",
        "Symbols that are named in the configuration and not in the venue's newest list.",
        lambda feed: len(feed.instruments.missing) if feed.instruments else 0,
    ),
    MetricSeries(
        "feedbus_feed_instruments_known",
        "Symbols of which the venue has said the lot, the tick size and so on; they are published again and again.",
        lambda feed: len(feed.instruments.known) if feed.instruments else 0,
    ),
    MetricSeries(
        "feedbus_feed_instrument_changes_total",
        "Times that something of a known instrument had changed.",
        lambda feed: feed.instruments.known.changes if feed.instruments else 0,
    ),
    MetricSeries(
        "feedbus_feed_list_failures_total",
        "Times that the venue gave no list of its instruments when it was asked for one.",
        lambda feed: feed.instruments.failures if feed.instruments else 0,
    ),
    MetricSeries("feedbus_feed_http_requests_total", "HTTP requests to the venue.", lambda feed: feed.fetcher.requests),
    MetricSeries(
        "feedbus_feed_http_dropped_total",
        "HTTP requests that were not sent, because the connection that wanted them was gone when their turn came.",
        lambda feed: feed.fetcher.dropped,
    ),
    MetricSeries(
        "feedbus_feed_http_failures_total",
        "HTTP requests that failed or in which the venue refused our credentials, by cause.",
        lambda feed: dict.fromkeys(CAUSES, 0) | feed.fetcher.failures,
        by="cause",
    ),
    MetricSeries(
        "feedbus_feed_budget_waiting",
        "How many wait now because the venue may not be asked so often, by budget.",
        lambda feed: {name: budget.waiting for name, budget in feed.budgets.items()},
        by="budget",
    ),
    MetricSeries(
        "feedbus_feed_budget_turns_total",
        "Turns taken, by budget.",
        lambda feed: {name: budget.taken for name, budget in feed.budgets.items()},
        by="budget",
    ),
    MetricSeries(
        "feedbus_feed_budget_waits_total",
        "Turns for which somebody had to wait for a second or longer, by budget.",
        lambda feed: {name: budget.waits for name, budget in feed.budgets.items()},
        by="budget",
    ),
    MetricSeries(
        "feedbus_feed_budget_waited_seconds_total",
        "Seconds waited for turns, by budget.",
        lambda feed: {name: budget.waited for name, budget in feed.budgets.items()},
        by="budget",
    ),
    MetricSeries(
        "feedbus_feed_pauses_asked_total",
        "Answers by which the venue wanted the whole feed to come later.",
        lambda feed: feed.hold.asked,
    ),
    MetricSeries(
        "feedbus_feed_pauses_shortened_total",
        "Pauses between two attempts to connect that were cut short because another connection was back.",
        lambda feed: feed.pauses.shortened,
    ),
    MetricSeries(
        "feedbus_feed_clock_offset_seconds",
        "How far this machine's clock is ahead of the venue's by the times of events, the fastest way included; "
        "negative when it is behind, absent while it isn't known.",
        lambda feed: feed.delays.offset_s,
    ),
    MetricSeries(
        "feedbus_feed_clock_drift_ppm",
        "How many microseconds a second that offset grows; absent until the last hour shows it to within 50.",
        lambda feed: feed.delays.drift_ppm,
    ),
    MetricSeries(
        "feedbus_feed_clock_shifts_total",
        "Times that all delays moved by more than a tenth of a second and stayed there, though this machine's clock "
        "was not set.",
        lambda feed: feed.delays.shifts,
    ),
    MetricSeries(
        "feedbus_feed_negative_delays_total",
        "Reads whose last event was received before the time that it bears, which can't be: a clock is wrong.",
        lambda feed: feed.delays.negative,
    ),
)

CONNECTION: Sequence[MetricSeries[Connector]] = (
    MetricSeries("feedbus_connection_state", "1 for the state that the connection is in, else 0.", _states, by="state"),
    MetricSeries(
        "feedbus_connection_up", "1 when the connection is logged in, else 0.", lambda it: float(it.state in UP_STATES)
    ),
    MetricSeries(
        "feedbus_connection_attempts_total",
        "Attempts to connect; the number of the newest one is the generation in the feed events.",
        lambda it: it.generation,
    ),
    MetricSeries("feedbus_connection_logins_total", "Logins that the venue accepted.", lambda it: it.connects),
    MetricSeries(
        "feedbus_connection_failures_total",
        "Attempts and connections that ended in a failure, by cause.",
        lambda it: dict.fromkeys(CAUSES, 0) | it.failures,
        by="cause",
    ),
    MetricSeries("feedbus_connection_frames_total", "WebSocket messages received.", lambda it: it.frames),
    MetricSeries(
        "feedbus_connection_received_bytes_total",
        "Bytes received, without those of the handshakes.",
        lambda it: it.received_bytes(),
    ),
    MetricSeries(
        "feedbus_connection_events_total",
        "Events decoded from the received messages and published.",
        lambda it: it.events,
    ),
    MetricSeries(
        "feedbus_connection_skipped_frames_total",
        "Frames, or parts of frames, that were skipped because their data could not be used.",
        lambda it: it.skipped,
    ),
    MetricSeries(
        "feedbus_connection_resyncs_total",
        "Times that a subscription was made anew because its data had become inconsistent.",
        lambda it: it.resyncs,
    ),
    MetricSeries(
        "feedbus_connection_refusals_total",
        "Times that the venue refused or ended a subscription.",
        lambda it: it.refusals,
    ),
    MetricSeries(
        "feedbus_connection_symbols",
        "Symbols by the state of their subscription; a symbol counts by its least advanced channel.",
        _instruments,
        by="state",
    ),
    MetricSeries(
        "feedbus_connection_session_occurrences_total",
        "Occurrences that the session of the venue's protocol counts, by name.",
        lambda it: it.session_counts(),
        by="occurrence",
    ),
    MetricSeries(
        "feedbus_connection_delay_seconds",
        "The least recent time from an event at the venue to its receipt, by two clocks, without the steps of this "
        "machine's; absent while it isn't known.",
        lambda it: None if it.delay.delay_ns is None else it.delay.delay_ns / 1e9,
    ),
)

PUBLISHER: Sequence[MetricSeries[Publisher]] = (
    MetricSeries(
        "feedbus_publisher_epoch_timestamp_seconds",
        "When the publisher began its sequence numbers: its epoch, in seconds since 1970.",
        lambda it: it.epoch / 1e9,
    ),
    MetricSeries("feedbus_publisher_messages_total", "Messages handed to the bus.", lambda it: it.messages),
    MetricSeries("feedbus_publisher_sent_bytes_total", "Bytes of the messages handed to the bus.", lambda it: it.bytes),
    MetricSeries(
        "feedbus_publisher_events_total",
        "Events published, by kind; the kind heartbeat counts each part of a heartbeat.",
        lambda it: it.counts(),
        by="kind",
    ),
    MetricSeries(
        "feedbus_publisher_oversized_events_total",
        "Events that were not sent because they were too large for a message; subscribers see a gap.",
        lambda it: it.too_large,
    ),
)

ACTOR: Sequence[MetricSeries[ActorShell]] = (
    MetricSeries("feedbus_actor_starts_total", "Times that the actor was started.", lambda it: it.starts),
    MetricSeries(
        "feedbus_actor_received_total",
        "What the actor received over the bus: messages, bytes, events, gaps, and the events lost in these gaps.",
        lambda it: dict.fromkeys(("messages", "bytes", "events", "gaps", "lost"), 0) | it.received(),
        by="what",
    ),
    MetricSeries(
        "feedbus_actor_occurrences_total",
        "Occurrences that the actor counts, by name.",
        lambda it: it.counters(),
        by="occurrence",
    ),
)

SUPERVISOR: Sequence[MetricSeries[Supervisor]] = (
    MetricSeries(
        "feedbus_supervisor_crashes_total",
        "Times that a part crashed or failed to start because of a bug, by part.",
        lambda it: dict.fromkeys(it.names(), 0) | it.crashes,
        by="child",
    ),
    MetricSeries(
        "feedbus_supervisor_restarts_total",
        "Times that a part was started again, by part.",
        lambda it: dict.fromkeys(it.names(), 0) | it.restarts,
        by="child",
    ),
    MetricSeries(
        "feedbus_supervisor_stuck_stops_total",
        "Times that a part was told to stop and didn't end within its grace period.",
        lambda it: it.stuck_stops,
    ),
    MetricSeries(
        "feedbus_supervisor_stuck",
        "Parts that didn't end within their grace period and still haven't ended.",
        lambda it: len(it.stuck()),
    ),
    MetricSeries(
        "feedbus_supervisor_escalations_total",
        "Times that the supervisor gave up because there were too many restarts.",
        lambda it: it.escalations,
    ),
)

PROCESS: Sequence[MetricSeries[ProcessFigures]] = (
    MetricSeries(
        "feedbus_event_loop_worst_lag_seconds",
        "The longest delay of a timer within the last minute; every task in the process had to wait as long.",
        lambda it: it.lag.worst(),
    ),
    MetricSeries(
        "feedbus_event_loop_lag_seconds_total",
        "The sum of the delays of a timer that is due every second.",
        lambda it: it.lag.seconds,
    ),
    MetricSeries(
        "feedbus_process_pauses_total",
        "Times that the whole process stood still for seconds, as when it is stopped or the machine is suspended.",
        lambda it: it.lag.pauses,
    ),
    MetricSeries(
        "feedbus_process_paused_seconds_total",
        "Seconds for which the whole process stood still; no deadline counts them.",
        lambda it: it.lag.paused,
    ),
    MetricSeries(
        "feedbus_process_clock_steps_total",
        "Times that this machine's clock was set while the process ran.",
        lambda it: it.clock.steps,
    ),
    MetricSeries(
        "feedbus_process_clock_stepped_seconds",
        "By how much it was set in all, forward being positive.",
        lambda it: it.clock.stepped / 1e9,
    ),
    MetricSeries("feedbus_log_lines_total", "Log lines written, by level.", lambda it: it.log_lines(), by="level"),
    MetricSeries(
        "feedbus_log_lines_left_out_total",
        "Log lines that were not written because they repeated others too often, by level.",
        lambda it: it.log_lines_left_out(),
        by="level",
    ),
    MetricSeries("feedbus_watchdog_checks_total", "Checks of the parts' deadlines.", lambda it: it.watchdog.checks),
    MetricSeries(
        "feedbus_watchdog_withheld_total",
        "Checks that found a part late, so that systemd was sent no WATCHDOG=1.",
        lambda it: it.watchdog.withheld,
    ),
)

BUILD: Sequence[MetricSeries[ProcessFigures]] = (
    MetricSeries("feedbus_build_info", "Always 1; the labels hold the versions of feedbus and Python.", lambda _: 1.0),
)
