"""Packets put into the byte stream and cut out of it again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tg_pipeline.simulator.framing import Abridged, Framing, FramingError, Full, Intermediate, detect

TRANSPORTS = pytest.mark.parametrize("transport", [Full, Abridged, Intermediate])
packets = st.lists(st.binary(max_size=60).map(lambda words: words * 4 or bytes(4)) | st.just(bytes(1200)), max_size=5)


@TRANSPORTS
@given(sent=packets, cut=st.integers(1, 50))
def test_packets_survive_any_fragmentation(transport: type[Framing], sent: list[bytes], cut: int) -> None:
    writer, reader = transport(), transport()
    stream = b"".join(writer.frame(packet) for packet in sent)
    buffer, received = bytearray(), []
    for start in range(0, len(stream), cut):
        buffer += stream[start : start + cut]
        while (packet := reader.split(buffer)) is not None:
            received.append(packet)
    assert received == sent
    assert not buffer


@pytest.mark.parametrize(
    ("stream", "transport", "left"),
    [
        (b"\xef\1abc", Abridged, b"\1abc"),
        (b"\xee\xee\xee\xee\4", Intermediate, b"\4"),
        (b"\x0c\0\0\0", Full, b"\x0c\0\0\0"),
        (b"\xef\1a", None, b"\xef\1a"),
    ],
)
def test_the_first_bytes_tell_the_transport(stream: bytes, transport: type[Framing] | None, left: bytes) -> None:
    buffer = bytearray(stream)
    found = detect(buffer)
    assert (type(found) if found else None) == transport
    assert buffer == left


def test_a_packet_with_a_changed_byte_is_noticed() -> None:
    buffer = bytearray(Full().frame(b"abcd"))
    buffer[9] ^= 1
    with pytest.raises(FramingError, match="checksum"):
        Full().split(buffer)


def test_transport_errors_are_bare_numbers() -> None:
    assert Full().error(-429) == (-429).to_bytes(4, "little", signed=True) * 3
    assert Full().split(bytearray(Full().error(-404))) == (-404).to_bytes(4, "little", signed=True)
    assert Abridged().error(-429) == b"\1" + (-429).to_bytes(4, "little", signed=True)
