"""The supervisor against a naive model: generated children that fail, return, hang in their cleanup or fail at start.

The model is a sequential program on a number line: a script says all that a child will do, so each run of it is known
from its begin and its stop. It shares nothing with the supervisor but the rules. Durations have a fraction of their
own each, so that no two things happen at one time by chance; what happens at one time by cause is in causal order.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Literal, NoReturn

import pytest
import trio
from hypothesis import event, given
from hypothesis import strategies as st

from feedbus.errors import Escalated, StartFailed
from feedbus.runtime.child import Child
from feedbus.runtime.supervisor import Supervisor
from feedbus.testing.determinism import run_deterministically
from feedbus.testing.strategies import examples

Entry = tuple[float, str, str]


@dataclass(frozen=True)
class Script:
    """What one run of a child does: times in seconds, counted from what is before."""

    start_takes: float
    starts: bool
    lives: float  # inf: until it is stopped
    end: Literal["fails", "returns"]
    cleanup: float
    cleanup_fails: bool


@dataclass(frozen=True)
class Player:
    """One child of a schedule; the last of its scripts is repeated."""

    name: str
    grace: float
    scripts: tuple[Script, ...]

    def script(self, number: int) -> Script:
        return self.scripts[min(number, len(self.scripts) - 1)]


@dataclass(frozen=True)
class Schedule:
    players: tuple[Player, ...]
    intensity: int
    period: float
    cancel_at: float
    seed: int


@dataclass
class Result:
    log: list[Entry] = field(default_factory=list)
    restarts: Counter[str] = field(default_factory=Counter)
    crashes: Counter[str] = field(default_factory=Counter)
    stuck_stops: int = 0


# What is tried


async def play(player: Player, numbers: Counter[str], log: list[Entry], *, task_status: trio.TaskStatus[None]) -> None:
    def note(what: str) -> None:
        log.append((trio.current_time(), player.name, what))

    script = player.script(numbers[player.name])
    numbers[player.name] += 1
    note("starts")
    try:
        await trio.sleep(script.start_takes)
        if not script.starts:
            note("fails")
            raise ValueError("as it should")
        note("is up")
        task_status.started()
        await trio.sleep(script.lives)
        note(script.end)
        if script.end == "fails":
            raise ValueError("as it should")
    except trio.Cancelled:
        note("is stopped")
        with trio.CancelScope(shield=True):
            await trio.sleep(script.cleanup)
        note("has ended")
        if script.cleanup_fails:
            raise ValueError("in its cleanup") from None
        raise


async def really(schedule: Schedule, _: random.Random) -> Result:
    result = Result()
    numbers: Counter[str] = Counter()
    children = [
        Child(player.name, partial(play, player, numbers, result.log), grace=player.grace)
        for player in schedule.players
    ]
    supervisor = Supervisor("top", children, intensity=schedule.intensity, period=schedule.period)
    outcome = "is cancelled"
    with trio.CancelScope(deadline=schedule.cancel_at):
        try:
            await supervisor.run()
        except Escalated:
            outcome = "escalates"
        except StartFailed:
            outcome = "can't start"
    result.log.append((trio.current_time(), "top", outcome))
    result.restarts, result.crashes = supervisor.restarts, supervisor.crashes
    result.stuck_stops = supervisor.stuck_stops
    assert supervisor.stuck() == []
    return result


# What is expected


class Ended(Exception):
    """The supervisor's end; its text is how."""


@dataclass
class Run:
    """One run of a child, whose end is still to be dealt with: all times are known, but for that of its stop."""

    player: Player
    script: Script
    begun: float
    stopped: float = inf
    stuck: bool = False
    settling_noted: bool = False

    @property
    def settled(self) -> float:
        return self.begun + self.script.start_takes

    @property
    def ended(self) -> float:
        if self.stopped < inf:
            return self.stopped + self.script.cleanup
        return self.settled + self.script.lives if self.script.starts else self.settled

    @property
    def failed(self) -> bool:
        return self.script.end == "fails" or not self.script.starts


class Model:
    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.result = Result()
        self.now = 0.0
        self.runs: dict[str, Run] = {}
        self.begun: Counter[str] = Counter()
        self.restart_times: list[float] = []

    def run(self) -> Result:
        try:
            self.supervise()
        except Ended as end:
            outcome = str(end)
        runs = list(self.runs.values())
        self.stop(self.schedule.players, until=inf)
        self.now = max([self.now, *[run.ended for run in runs if run.stopped < inf]])  # the stuck ones are waited for
        self.note(self.now, "top", outcome)
        self.result.log.sort(key=lambda entry: entry[0])  # stable: what is at one time stays in causal order
        return self.result

    def note(self, time: float, name: str, what: str) -> None:
        self.result.log.append((time, name, what))

    def wait_until(self, time: float) -> None:
        if time > self.schedule.cancel_at:
            self.now = self.schedule.cancel_at
            raise Ended("is cancelled")
        self.now = max(self.now, time)

    def supervise(self) -> NoReturn:
        for player in self.schedule.players:
            if not self.start(player):
                raise Ended("can't start")
        while True:
            self.wait_until(min((run.ended for run in self.runs.values()), default=inf))
            self.deal_with(min(self.runs.values(), key=lambda run: run.ended))

    def start(self, player: Player) -> bool:
        number = self.begun[player.name]
        self.begun[player.name] += 1
        self.result.restarts[player.name] += number > 0
        run = self.runs[player.name] = Run(player, player.script(number), self.now)
        self.note(self.now, player.name, "starts")
        self.wait_until(run.settled)
        self.note_settling(run)
        return run.script.starts

    def note_settling(self, run: Run) -> None:
        """It came up, or failed to: perhaps while the supervisor was already stopping others."""
        if not run.settling_noted and run.settled <= self.now:
            run.settling_noted = True
            self.note(run.settled, run.player.name, "is up" if run.script.starts else "fails")

    def own_end(self, run: Run) -> None:
        del self.runs[run.player.name]
        self.result.crashes[run.player.name] += run.failed
        if run.script.starts:
            self.note(run.ended, run.player.name, run.script.end)

    def deal_with(self, run: Run) -> None:
        player = run.player
        if run.stopped < inf:
            del self.runs[player.name]  # it was stuck
        else:
            self.own_end(run)
            self.count_restart()
        self.start_what_may_start()  # also what waited for this one to be dealt with

    def count_restart(self) -> None:
        self.restart_times.append(self.now)
        if sum(self.now - time <= self.schedule.period for time in self.restart_times) > self.schedule.intensity:
            raise Ended("escalates")

    def start_what_may_start(self) -> None:
        for player in self.schedule.players:
            if player.name not in self.runs:
                self.start(player)

    def stop(self, players: tuple[Player, ...], *, until: float) -> None:
        """Stop these in reverse order, unless the supervisor's own stop comes first."""
        for player in reversed(players):
            run = self.runs.get(player.name)
            if run is None:
                continue
            self.note_settling(run)
            if run.stopped == inf and run.ended <= self.now:
                self.own_end(run)
                continue
            if run.stopped == inf:
                run.stopped = self.now
                self.note(self.now, player.name, "is stopped")
                self.note(run.ended, player.name, "has ended")
                self.result.crashes[player.name] += run.script.cleanup_fails
            patience = max(self.now, min(run.ended, run.stopped + player.grace))
            if patience > until:
                self.wait_until(patience)
            self.now = patience
            if run.ended <= self.now:
                del self.runs[player.name]
            elif not run.stuck:
                run.stuck = True
                self.result.stuck_stops += 1


# Schedules


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    source = random.Random(draw(st.integers(0, 2**32)))

    def seconds(least: int, most: int) -> float:
        # Whole seconds, and a fraction that nothing else has; in binary, so that sums are exact.
        return draw(st.integers(least, most)) + source.randrange(1, 2**20) / 2**21

    def script(unsafe: int) -> Script:
        return Script(
            start_takes=seconds(0, 5),
            starts=draw(st.integers(0, unsafe)) > 0,
            lives=inf if draw(st.integers(0, 4)) == 0 else seconds(0, 10),
            end=draw(st.sampled_from(["fails", "fails", "returns"])),
            cleanup=0.0 if draw(st.booleans()) else seconds(0, 8),
            cleanup_fails=draw(st.integers(0, 5)) == 0,
        )

    players = tuple(
        Player(
            name=name,
            grace=seconds(0, 4),
            scripts=tuple(script(20 if number == 0 else 4) for number in range(draw(st.integers(1, 4)))),
        )
        for name in "abcde"[: draw(st.integers(1, 5))]
    )
    return Schedule(
        players=players,
        intensity=draw(st.integers(0, 9)),
        period=seconds(1, 30),
        cancel_at=seconds(1, 60),
        seed=draw(st.integers(0, 1000)),
    )


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """The supervisor's log would only cost time here."""
    log = logging.getLogger("feedbus.top")
    log.disabled = True
    yield
    log.disabled = False


@examples(250)
@given(schedule=schedules())
def test_the_supervisor_does_what_the_model_says(schedule: Schedule) -> None:
    expected = Model(schedule).run()
    result = run_deterministically(partial(really, schedule), seed=schedule.seed)
    event(expected.log[-1][2])
    event(f"stuck: {expected.stuck_stops > 0}")
    assert result.log == expected.log
    assert +result.restarts == +expected.restarts
    assert +result.crashes == +expected.crashes
    assert result.stuck_stops == expected.stuck_stops
