from __future__ import annotations

import pytest

from feedbus import venues
from feedbus.schema.events import EVENT_TYPES
from feedbus.trust.evidence import Evidence

NOTHING = Evidence()
CREDENTIALS = {"alor": {"refresh_token": "x"}}


@pytest.mark.parametrize("name", venues.names())
def test_a_venue_says_of_its_channels_alone_and_only_what_their_events_can_show(name: str) -> None:
    account = venues.account_class(name)(CREDENTIALS.get(name, {}), [], None)
    for channel, evidence in account.evidence.items():
        words = set(account.kinds[channel])
        assert evidence != NOTHING
        assert words <= {event.WORD for event in EVENT_TYPES}
        assert not (evidence.trade_ids or evidence.spans) or words == {"trade"}
        assert not evidence.numbered or words <= {"quote", "book"}
        assert not evidence.timed or words <= {"quote", "book", "ticker", "bar"}
        assert not (evidence.sums_grow or evidence.tells_best) or "ticker" in words
        assert not evidence.full_pictures or "book" in words


def test_without_a_word_nothing_is_true_of_a_channel() -> None:
    assert not any(getattr(NOTHING, field) for field in NOTHING.__struct_fields__)
