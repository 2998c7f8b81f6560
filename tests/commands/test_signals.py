"""Stopping by signals, which these tests send to their own process."""

from __future__ import annotations

import signal

import pytest
import trio

from feedbus.commands.signals import STOP_SIGNALS, run_until_stopped, stop_signal


@pytest.mark.parametrize("number", STOP_SIGNALS)
async def test_the_first_signal_sets_the_event_and_further_ones_are_ignored(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in STOP_SIGNALS]
    with stop_signal() as stop, trio.fail_after(5):
        signal.raise_signal(number)
        await stop.wait()
        assert [signal.getsignal(each) for each in STOP_SIGNALS] == [signal.SIG_IGN] * len(STOP_SIGNALS)
    assert [signal.getsignal(each) for each in STOP_SIGNALS] == before


def test_a_command_returns_its_result_and_a_signal_after_it_is_ignored() -> None:
    async def command(text: str) -> str:
        with stop_signal() as stop:
            signal.raise_signal(signal.SIGTERM)
            await stop.wait()
        return text

    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        assert run_until_stopped(command, "done") == "done"
        for number in STOP_SIGNALS:
            signal.raise_signal(number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
