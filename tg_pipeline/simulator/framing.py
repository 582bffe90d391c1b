"""TCP transports of MTProto, server side: how packets are cut out of the byte stream and put into it.

Source: core.telegram.org/mtproto/mtproto-transports. The client's first bytes say which one it speaks.
"""

import struct
from abc import ABC, abstractmethod
from zlib import crc32


class FramingError(Exception):
    """The stream is not what the transport promised; the connection cannot go on."""


class Framing(ABC):
    """One direction-symmetric packet format."""

    @abstractmethod
    def split(self, buffer: bytearray) -> bytes | None:
        """Take the next whole packet off the front of `buffer`; None while it is incomplete."""

    @abstractmethod
    def frame(self, payload: bytes) -> bytes:
        """The bytes to send for one packet."""

    def error(self, code: int) -> bytes:
        """A transport-level error such as -404 (unknown key): four bytes in the place of a packet."""
        return self.frame(struct.pack("<i", code))


class Full(Framing):
    """Length, sequence number, payload, CRC32: Telethon's default."""

    def __init__(self) -> None:
        self._sent = 0

    def split(self, buffer: bytearray) -> bytes | None:
        """As the base class; raises FramingError on an impossible length or a wrong checksum."""
        if len(buffer) < 4:
            return None
        (length,) = struct.unpack_from("<i", buffer)
        if not 12 <= length <= 1 << 24:
            raise FramingError(f"a packet of {length} bytes")
        if len(buffer) < length:
            return None
        packet = bytes(buffer[:length])
        del buffer[:length]
        if crc32(packet[:-4]) != struct.unpack_from("<I", packet, length - 4)[0]:
            raise FramingError("a packet with a wrong checksum")
        return packet[8:-4]

    def frame(self, payload: bytes) -> bytes:
        """As the base class; numbers the packets it has framed."""
        head = struct.pack("<ii", len(payload) + 12, self._sent)
        self._sent += 1
        return b"".join((head, payload, struct.pack("<I", crc32(payload, crc32(head)))))

    def error(self, code: int) -> bytes:
        """-429 comes as the bare number three times, without a frame (Telethon issue 4042)."""
        return struct.pack("<iii", code, code, code) if code == -429 else super().error(code)


class Abridged(Framing):
    """One byte of length in words, or 7f and three bytes."""

    def split(self, buffer: bytearray) -> bytes | None:
        """As the base class."""
        if not buffer:
            return None
        start = 4 if buffer[0] == 0x7F else 1
        words = int.from_bytes(buffer[1:4], "little") if start == 4 else buffer[0]
        end = start + words * 4
        if len(buffer) < end:
            return None
        packet = bytes(buffer[start:end])
        del buffer[:end]
        return packet

    def frame(self, payload: bytes) -> bytes:
        """As the base class; the payload's length is a multiple of four."""
        words = len(payload) >> 2
        head = bytes([words]) if words < 0x7F else b"\x7f" + words.to_bytes(3, "little")
        return head + payload


class Intermediate(Framing):
    """Four bytes of length."""

    def split(self, buffer: bytearray) -> bytes | None:
        """As the base class."""
        if len(buffer) < 4:
            return None
        end = 4 + int.from_bytes(buffer[:4], "little")
        if len(buffer) < end:
            return None
        packet = bytes(buffer[4:end])
        del buffer[:end]
        return packet

    def frame(self, payload: bytes) -> bytes:
        """As the base class."""
        return struct.pack("<i", len(payload)) + payload


def detect(buffer: bytearray) -> Framing | None:
    """The transport that the first bytes announce, its tag removed; None while there are too few bytes to know."""
    if len(buffer) < 4:
        return None
    if buffer[0] == 0xEF:
        del buffer[:1]
        return Abridged()
    if buffer[:4] == b"\xee" * 4:
        del buffer[:4]
        return Intermediate()
    return Full()
