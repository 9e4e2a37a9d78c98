"""One regular expression that proves that the balancer need not change or remove anything in a head.

The checked bytes themselves are then forwarded: the cheapest copy, and the safest, because no second writer can make a
mistake. The proof accepts less than the rules of `head.py`, never more: the canonical spelling of framing and path,
each field that is read at most once, none of the given names, no underscore in a name, HTTP/1.1 only. A head that does
not match is not refused: `head.py` parses it. The names come from `head.py`, so a name added there is excluded here.
"""

import re
from collections.abc import Callable, Collection

Match = Callable[..., re.Match[bytes] | None]

_NAME = rb"[!#$%&'*+\-.^`|~0-9A-Za-z]"  # A token without `_`, which some servers read as `-`.
_VALUE = rb"[\t -~\x80-\xff]*+"
# A path that has one spelling only: nothing percent-encoded, no empty and no dot segment.
_TARGET = rb"((?:/(?![/.])[!\"$&-.0-~]*+)++)"
_LENGTH = rb"(0|[1-9][0-9]{0,14}+)"
# Connection options that change nothing in HTTP/1.1; the line is removed, because it is hop-by-hop.
_CONNECTION = rb"([Cc]onnection: [Kk]eep-[Aa]live\r\n)"


def requests(*, names: Collection[bytes], prefixes: Collection[bytes], fields_max: int) -> Match:
    """A matcher of request heads without their last empty line.

    Groups: method, target, host, Content-Length or None, Authorization or None, the whole Connection line or None,
    `chunked` or None, never together with a length. A field that is read may occur once: `(?(n)(?!))` fails the second
    time.
    """
    pattern = (
        rb"((?!CONNECT )[A-Z]{1,32}+) %b HTTP/1\.1\r\n"
        rb"(?:[Hh]ost: (?(3)(?!))([A-Za-z0-9._~\-]++(?::[0-9]{1,5}+)?+)\r\n"
        rb"|[Cc]ontent-[Ll]ength: (?(4)(?!))%b\r\n"
        rb"|[Aa]uthorization: (?(5)(?!))([!-~]++(?: [!-~]++)*+)\r\n"
        rb"|(?(6)(?!))%b"
        rb"|[Tt]ransfer-[Ee]ncoding: (?(7)(?!))(chunked)\r\n"
        rb"|%b){1,%d}+(?(3)|(?!))(?(4)(?(7)(?!)))"
    ) % (_TARGET, _LENGTH, _CONNECTION, _other(names, prefixes), fields_max)
    return re.compile(pattern).fullmatch


def responses(*, names: Collection[bytes]) -> Match:
    """A matcher of answers that keep the connection and have a Content-Length (a 204 must not have one).

    Server errors do not match: their fields say what the failure means, so `head.py` parses them.

    Groups: status, reason, Content-Length, X-Request-Id or None.
    """
    pattern = (
        rb"HTTP/1\.1 (?!204)([2-4][0-9]{2}) (%b)\r\n"
        rb"(?:[Cc]ontent-[Ll]ength: (?(3)(?!))%b\r\n"
        rb"|[Xx]-[Rr]equest-[Ii][Dd]: (?(4)(?!))(%b)\r\n"
        rb"|%b)++(?(3)|(?!))"
    ) % (_VALUE, _LENGTH, _VALUE, _other(names, ()))
    return re.compile(pattern).fullmatch


def _other(names: Collection[bytes], prefixes: Collection[bytes]) -> bytes:
    """A field line with none of these names, in upper or lower case."""
    starts = [name + b":" for name in names] + list(prefixes)
    return rb"(?!%b)%b++:%b\r\n" % (_any_case(starts), _NAME, _VALUE)


def _any_case(words: Collection[bytes]) -> bytes:
    """A pattern of these lower-case words as a prefix tree, so that one letter decides for most names."""
    if b"" in words:
        return b""
    endings: dict[bytes, list[bytes]] = {}
    for word in sorted(words):
        endings.setdefault(word[:1], []).append(word[1:])
    parts = [
        (b"[%b%b]" % (first, first.upper()) if first.isalpha() else re.escape(first)) + _any_case(rest)
        for first, rest in endings.items()
    ]
    return parts[0] if len(parts) == 1 else b"(?:%b)" % b"|".join(parts)
