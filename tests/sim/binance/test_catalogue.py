"""What the simulated Binance lists."""

from __future__ import annotations

from feedbus.sim.binance.catalogue import SCALE, pairs, symbols


def test_pairs_are_as_written() -> None:
    btc = pairs()[0]
    assert (btc.symbol, btc.base, btc.quote) == ("BTCUSDT", "BTC", "USDT")
    assert (btc.price, btc.tick, btc.lot) == (6_183_763_000_000, 1_000_000, 1_000)
    (pepe,) = [pair for pair in pairs() if pair.base == "PEPE"]
    assert (pepe.price, pepe.tick, pepe.lot) == (812, 1, SCALE)


def test_every_symbol_is_there_once_and_can_be_part_of_a_streams_name() -> None:
    listed = symbols()
    assert len(listed) == len(set(listed)) >= 24
    assert all(symbol.lower().upper() == symbol for symbol in listed)
    assert not any(set(symbol) & set("@!/ ") for symbol in listed)
    assert not all(symbol.isascii() for symbol in listed)


def test_prices_are_multiples_of_the_tick_and_deep_enough_for_a_book() -> None:
    for pair in pairs():
        assert pair.price % pair.tick == 0
        assert pair.price // pair.tick > 500
        assert pair.tier in (0, 1, 2)
