r"""JSON as Telegram Desktop and text editors leave it, made into JSON.

Telegram Desktop has written control characters as `\x01`, which JSON does not know (tdesktop #27571). An editor on
Windows adds a byte order mark, or saves as UTF-16.
"""

import codecs
import re
from dataclasses import dataclass, field

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_PIECE = re.compile(
    rb"""(?P<sound> \\u[dD][89abAB][0-9a-fA-F]{2} \\u[dD][c-fC-F][0-9a-fA-F]{2} | \\["\\/bfnrt] )
    | (?P<surrogate> \\u[dD][89a-fA-F][0-9a-fA-F]{2} )
    | (?P<unit> \\u[0-9a-fA-F]{4} )
    | \\x(?P<hex> [0-9a-fA-F]{2} )
    | \\(?P<foreign> . )
    | (?P<raw> [\x00-\x1f] )""",
    re.DOTALL | re.VERBOSE,
)
_SIXTEEN_BITS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def in_utf8(data: bytes) -> bytes:
    """The text without a byte order mark, in UTF-8 where the mark says that it is in UTF-16."""
    if data.startswith(_SIXTEEN_BITS):
        return data.decode("utf-16", "replace").encode()
    return data.removeprefix(codecs.BOM_UTF8)


@dataclass
class Repaired:
    r"""What was repaired: `text` is in UTF-8, and its strings hold no escape and no character that JSON refuses.

    A lone surrogate and bytes that are not UTF-8 become U+FFFD. `\xNN` and raw control characters become the
    character that they stand for. A backslash before anything else is kept as a backslash. `count` is how many.
    """

    text: bytes
    count: int = 0
    shifts: list[tuple[int, int]] = field(default_factory=list)

    def position(self, position: int) -> int:
        """Where in the original text a position of the repaired one was."""
        shift = 0
        for start, more in self.shifts:
            if start + shift >= position:
                break
            shift += more
        return position - shift


def repair(data: bytes) -> Repaired:
    """Repair the strings of a JSON text that does not parse."""
    text = data.decode(errors="replace").encode()
    repaired = Repaired(b"", text.count("�".encode()) - data.count("�".encode()))

    def string(found: re.Match[bytes]) -> bytes:
        def piece(part: re.Match[bytes]) -> bytes:
            new = _piece(part)
            if new != part[0]:
                repaired.count += 1
                repaired.shifts.append((found.start() + part.start(), len(new) - len(part[0])))
            return new

        return _PIECE.sub(piece, found[0])

    repaired.text = _STRING.sub(string, text)
    return repaired


def _piece(part: re.Match[bytes]) -> bytes:
    match part.lastgroup:
        case "surrogate":
            return b"\\ufffd"
        case "hex":
            return b"\\u00" + part["hex"]
        case "foreign":
            return b"\\\\" + _raw(part["foreign"])
        case "raw":
            return _raw(part["raw"])
        case _:
            return part[0]


def _raw(character: bytes) -> bytes:
    return b"\\u%04x" % character[0] if character < b" " else character
