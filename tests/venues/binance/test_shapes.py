"""The fields of payloads are in the order of the wire, as the decoder finds each where the last one ended."""

from __future__ import annotations

import msgspec
import pytest

from feedbus.venues.binance import shapes

# The keys of each payload in the order of the documentation.
WIRE = {
    "TradePayload": "e E s t p q T m M",
    "AggTradePayload": "e E s a p q f l T m M",
    "BookTickerPayload": "u s b B a A",
    "DepthPayload": "lastUpdateId bids asks",
    "KlineEventPayload": "e E s k",
    "KlinePayload": "t T s i f L o c h l v n x q V Q B",
    "MiniTickerPayload": "e E s c o h l v q",
    "TickerPayload": "e E s p P w x c Q b B a A o h l v q O C F L n",
    "RollingTickerPayload": "e E s p P o h l c w v q O C F L n",
    "AveragePricePayload": "e E s i w T",
}


def test_every_payload_is_compared() -> None:
    assert {name for name in vars(shapes) if name.endswith("Payload")} == set(WIRE)


@pytest.mark.parametrize("name", WIRE)
def test_fields_are_in_the_order_of_the_wire(name: str) -> None:
    fields = [field.encode_name for field in msgspec.structs.fields(getattr(shapes, name))]
    wire = WIRE[name].split()
    assert fields == [key for key in wire if key in fields]
