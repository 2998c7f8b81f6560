"""Pings and pongs are found among a client's frames, however the bytes come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from feedbus.sim.client_controls import ClientControls

OPCODES = st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.CONT, Opcode.CLOSE, Opcode.PING, Opcode.PONG])
FRAMES = st.builds(
    Frame,
    OPCODES,
    # What a payload holds is never taken for a head.
    st.one_of(st.binary(max_size=125), st.sampled_from([126, 65_535, 65_536]).map(lambda size: b"\x89" * size)),
)


@given(frames=st.lists(FRAMES, max_size=6), mask=st.booleans(), cuts=st.lists(st.integers(0, 400), max_size=8))
def test_each_is_found_once(frames: list[Frame], mask: bool, cuts: list[int]) -> None:
    controls = [Opcode.PING, Opcode.PONG]
    frames = [each for each in frames if each.opcode not in controls or len(each.data) < 126]
    data = b"".join(each.serialize(mask=mask) for each in frames if len(each.data) < 126 or each.opcode < Opcode.CLOSE)
    it, found, at = ClientControls(), 0, 0
    for cut in cuts:
        found += it.feed(data[at : at + cut])
        at = min(at + cut, len(data))
    found += it.feed(bytearray(data[at:]))
    assert found == sum(each.opcode in controls for each in frames)
