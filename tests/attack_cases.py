"""What is sent to an edge to break it, byte by byte, and the status that each must get.

Every attack that tries to hide a second request hides one for `SMUGGLED`, which must never reach
the origin. The groups follow what is known of attacks on caches: message framing, header syntax,
the request line, paths, sizes, ranges and hop-by-hop fields. The names of known flaws (CVE) say
which product once answered otherwise.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SMUGGLED: Final = "/smuggled"
CANARY: Final = "/canary"
MEDIA: Final = "/media"
MEDIA_BYTES: Final = 1000
INNER: Final = b"GET /smuggled HTTP/1.1\r\nHost: edge\r\n\r\n"


class Case(NamedTuple):
    """One attack: `statuses` may answer it; `closes`: the connection must not be used again."""

    name: str
    data: bytes
    statuses: tuple[int, ...]
    closes: bool = True


def get(*lines: bytes, target: bytes = b"/canary", method: bytes = b"GET") -> bytes:
    head = [method + b" " + target + b" HTTP/1.1", b"Host: edge", *lines, b"", b""]
    return b"\r\n".join(head)


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return get(*lines, method=b"POST", target=b"/upload") + body


def line(text: bytes) -> bytes:
    return text + b"\r\nHost: edge\r\n\r\n"


def length(name: str, *values: bytes) -> Case:
    lines = [b"Content-Length: " + value for value in values]
    return Case(f"content-length {name}", post(*lines, body=b"hello" + INNER), (400,))


def coding(name: str, *lines: bytes, status: int = 400) -> Case:
    body = b"0\r\n\r\n" + INNER
    return Case(f"transfer-encoding {name}", post(*lines, body=body), (status,))


def chunks(name: str, body: bytes) -> Case:
    return Case(f"chunks {name}", post(b"Transfer-Encoding: chunked", body=body), (400,))


FRAMING: Final = (
    Case(
        "length beside chunked (CL.TE, Squid CVE-2020-15810)",
        post(b"Content-Length: 6", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + INNER),
        (400,),
    ),
    Case(
        "chunked beside length (TE.CL, ATS CVE-2018-8004)",
        post(b"Transfer-Encoding: chunked", b"Content-Length: 4", body=b"5c\r\n" + INNER),
        (400,),
    ),
    Case(
        "chunked in HTTP/1.0 (Squid CVE-2023-46846)",
        b"POST /upload HTTP/1.0\r\nHost: edge\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        + INNER,
        (400,),
    ),
    length("with a plus sign (ATS CVE-2021-37147)", b"+5"),
    length("negative", b"-5"),
    length("hexadecimal", b"0x5"),
    length("with a fraction", b"5.0"),
    length("with an exponent", b"5e0"),
    length("with a semicolon", b"5;"),
    length("with a space inside", b"5 5"),
    length("empty", b""),
    length("a comma alone", b","),
    length("a list that agrees", b"5, 5"),
    length("a list that disagrees", b"5, 50"),
    length("twice, agreeing", b"5", b"5"),
    length("twice, disagreeing (Varnish CVE-2021-36740)", b"5", b"50"),
    length("beyond 64 bits", b"18446744073709551621"),
    length("of 5000 digits", b"5" * 5000),
    length("in other digits", "٥".encode()),
    length("with an underscore", b"1_0"),
    length("with a vertical tab", b"\x0b5"),
    coding("unknown", b"Transfer-Encoding: xchunked", status=501),
    coding("identity", b"Transfer-Encoding: identity", status=501),
    coding("gzip before chunked", b"Transfer-Encoding: gzip, chunked", status=501),
    coding("chunked before identity", b"Transfer-Encoding: chunked, identity"),
    coding("chunked twice in a list", b"Transfer-Encoding: chunked, chunked"),
    coding("chunked twice (nginx CVE-2019-20372)", *[b"Transfer-Encoding: chunked"] * 2),
    coding(
        "chunked and one unknown (gunicorn CVE-2024-1135)",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: cow",
    ),
    coding("empty", b"Transfer-Encoding:"),
    coding("space before the colon (aiohttp CVE-2024-52304)", b"Transfer-Encoding : chunked"),
    coding("on a folded line", b"Transfer-Encoding:\r\n chunked"),
    coding("hidden behind a fold", b"X-A: b\r\n\tTransfer-Encoding: chunked"),
    coding("after a bare line feed", b"X-A: b\nTransfer-Encoding: chunked"),
    coding("after a bare carriage return", b"X-A: b\rTransfer-Encoding: chunked"),
    coding("with a zero byte", b"Transfer-Encoding: chunked\x00"),
    coding("with a vertical tab", b"Transfer-Encoding: \x0bchunked"),
    coding("quoted", b'Transfer-Encoding: "chunked"', status=501),
    coding("with a parameter", b"Transfer-Encoding: chunked;q=1", status=501),
    chunks("negative", b"-1\r\n" + INNER),
    chunks("with 0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
    chunks("with a plus sign", b"+5\r\nhello\r\n0\r\n\r\n"),
    chunks("with an underscore", b"1_0\r\nhello\r\n0\r\n\r\n"),
    chunks("no size", b"\r\nhello\r\n0\r\n\r\n"),
    chunks("no hexadecimal", b"zz\r\nhello\r\n0\r\n\r\n"),
    chunks("beyond 64 bits", b"FFFFFFFFFFFFFFFFF\r\nhello\r\n"),
    chunks("after white space", b" 5\r\nhello\r\n0\r\n\r\n"),
    chunks("size ends in a bare line feed (h11 CVE-2025-43859)", b"5\nhello\r\n0\r\n\r\n"),
    chunks("data ends in a bare line feed", b"5\r\nhello\n0\r\n\r\n"),
    chunks("data longer than it says", b"5\r\nhello!\r\n0\r\n\r\n"),
    chunks("data ends in other bytes (h11 CVE-2025-43859)", b"5\r\nhelloXX0\r\n\r\n" + INNER),
    chunks("extension with a bare line feed (ATS CVE-2024-53868)", b"5;\n\r\nhello\r\n0\r\n\r\n"),
    chunks("extension with a zero byte", b"5;\x00\r\nhello\r\n0\r\n\r\n"),
    chunks("extension without end (Varnish CVE-2025-47905)", b"5;" + b"e" * 70_000),
    chunks("trailer that is no field (aiohttp CVE-2025-53643)", b"0\r\nno field\r\n\r\n"),
    chunks("trailer folded", b"0\r\nX-A: b\r\n c\r\n\r\n"),
    chunks("trailers without end", b"0\r\n" + b"X-A: b\r\n" * 20_000),
)

SYNTAX: Final = (
    Case("folded header", get(b"X-A: b\r\n c"), (400,)),
    Case("folded with a tab", get(b"X-A: b\r\n\tc"), (400,)),
    Case("first header folded", b"GET /canary HTTP/1.1\r\n X-A: b\r\nHost: edge\r\n\r\n", (400,)),
    Case("space before the colon", get(b"X-A : b"), (400,)),
    Case("tab before the colon", get(b"X-A\t: b"), (400,)),
    Case("space in a name", get(b"X A: b"), (400,)),
    Case("no colon", get(b"X-A"), (400,)),
    Case("no name", get(b": b"), (400,)),
    Case("zero byte in a name", get(b"X\x00A: b"), (400,)),
    Case("zero byte in a value", get(b"X-A: b\x00c"), (400,)),
    Case("control character in a value", get(b"X-A: b\x01c"), (400,)),
    Case("delete character in a value", get(b"X-A: b\x7fc"), (400,)),
    Case("bare carriage return in a value", get(b"X-A: b\rc"), (400,)),
    Case("bare line feed ends a field", get(b"X-A: b\nX-B: c"), (400,)),
    Case("bare line feeds all over", b"GET /canary HTTP/1.1\nHost: edge\n\n", (400,)),
    Case("carriage returns all over", b"GET /canary HTTP/1.1\rHost: edge\r\r\n\r\n", (400,)),
    Case("a letter beyond ASCII in a name", get("X-é: b".encode()), (400,)),
    Case("a bracket in a name", get(b"X(A): b"), (400,)),
    Case("a slash in a name", get(b"X/A: b"), (400,)),
    Case("an at sign in a name", get(b"X@A: b"), (400,)),
    Case("a quote in a name", get(b'"X-A": b'), (400,)),
    Case("no Host", b"GET /canary HTTP/1.1\r\n\r\n", (400,)),
    Case("two Hosts", get(b"Host: other"), (400,)),
    Case("two equal Hosts", get(b"Host: edge"), (400,)),
    Case("empty Host", b"GET /canary HTTP/1.1\r\nHost:\r\n\r\n", (400,)),
    Case("Host with a path", b"GET /canary HTTP/1.1\r\nHost: edge/x\r\n\r\n", (400,)),
    Case("Host with a user", b"GET /canary HTTP/1.1\r\nHost: a@edge\r\n\r\n", (400,)),
    Case("Host with a space", b"GET /canary HTTP/1.1\r\nHost: edge b\r\n\r\n", (400,)),
    Case("Host with a list", b"GET /canary HTTP/1.1\r\nHost: edge, b\r\n\r\n", (400,)),
    Case("Host with a bad port", b"GET /canary HTTP/1.1\r\nHost: edge:x\r\n\r\n", (400,)),
    Case("Host with an open bracket", b"GET /canary HTTP/1.1\r\nHost: [::1\r\n\r\n", (400,)),
    Case("Host with a query", b"GET /canary HTTP/1.1\r\nHost: edge?x\r\n\r\n", (400,)),
    Case("unknown expectation", get(b"Expect: a-miracle"), (417,)),
    Case("two expectations", post(b"Expect: 100-continue, x", b"Content-Length: 0"), (417,)),
)

REQUEST_LINE: Final = (
    Case("version 2.0", line(b"GET /canary HTTP/2.0"), (505,)),
    Case("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (505,)),
    Case("version 0.9", line(b"GET /canary HTTP/0.9"), (505,)),
    Case("version 3.1", line(b"GET /canary HTTP/3.1"), (505,)),
    Case("version without a dot", line(b"GET /canary HTTP/1"), (400,)),
    Case("version of three parts", line(b"GET /canary HTTP/1.1.1"), (400,)),
    Case("version of two digits", line(b"GET /canary HTTP/1.10"), (400,)),
    Case("version in lower case", line(b"GET /canary http/1.1"), (400,)),
    Case("other protocol", line(b"GET /canary ICAP/1.0"), (400,)),
    Case("no version", line(b"GET /canary"), (400,)),
    Case("no target", line(b"GET HTTP/1.1"), (400,)),
    Case("two spaces", line(b"GET  /canary HTTP/1.1"), (400,)),
    Case("tabs", line(b"GET\t/canary\tHTTP/1.1"), (400,)),
    Case("space at its end", line(b"GET /canary HTTP/1.1 "), (400,)),
    Case("space at its start", line(b" GET /canary HTTP/1.1"), (400,)),
    Case("space in the target", line(b"GET /can ary HTTP/1.1"), (400,)),
    Case("second request in the target", line(b"GET /a HTTP/1.1 /smuggled HTTP/1.1"), (400,)),
    Case("bare line feed inside", line(b"GET /a\nX: b HTTP/1.1"), (400,)),
    Case("zero byte in the method", line(b"GE\x00T /canary HTTP/1.1"), (400,)),
    Case("bracket in the method", line(b"G(T /canary HTTP/1.1"), (400,)),
    Case("method of 10000 letters", line(b"G" * 10_000 + b" /canary HTTP/1.1"), (400, 501)),
    Case("letter beyond ASCII in the target", line("GET /é HTTP/1.1".encode()), (400,)),
    Case("control character in the target", line(b"GET /\x01 HTTP/1.1"), (400,)),
    Case("fragment", line(b"GET /canary#x HTTP/1.1"), (400,), closes=False),
    Case("asterisk", line(b"GET * HTTP/1.1"), (400,), closes=False),
    Case("relative target", line(b"GET canary HTTP/1.1"), (400,), closes=False),
    Case("TRACE", line(b"TRACE /canary HTTP/1.1"), (405,), closes=False),
    Case("TRACK", line(b"TRACK /canary HTTP/1.1"), (405,), closes=False),
    Case("CONNECT", line(b"CONNECT 127.0.0.1:22 HTTP/1.1"), (405,), closes=False),
    Case("foreign host", line(b"GET http://127.0.0.1:22/ HTTP/1.1"), (400, 421), closes=False),
    Case("foreign user", line(b"GET http://edge@evil/ HTTP/1.1"), (400, 421), closes=False),
    Case("other scheme", line(b"GET file:///etc/passwd HTTP/1.1"), (400, 421), closes=False),
    Case("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", (400,)),
    Case("bytes that are no text", bytes(range(14, 256)) + b"\r\n\r\n", (400,)),
)


def path(name: str, target: bytes) -> Case:
    return Case(f"path {name}", get(target=target), (400,), closes=False)


PATHS: Final = (
    path("dots", b"/../etc/passwd"),
    path("dots in the middle", b"/a/../../etc/passwd"),
    path("dots at the end", b"/a/.."),
    path("encoded dots", b"/%2e%2e/etc/passwd"),
    path("half encoded dots", b"/.%2e/etc/passwd"),
    path("other half encoded dots", b"/%2e./etc/passwd"),
    path("encoded in upper case", b"/%2E%2E/etc/passwd"),
    path("encoded slash after dots", b"/..%2fetc/passwd"),
    path("encoded slash before dots", b"/a%2f../etc"),
    path("encoded backslash", b"/..%5cetc"),
    path("backslash", b"/..\\etc"),
    path("backslashes alone", b"/a\\b"),
    path("dots before a parameter", b"/..;/etc"),
    path("zero byte", b"/a%00.mp4"),
    path("line end", b"/a%0d%0aX-A:%20b"),
    path("line feed", b"/a%0aX"),
    path("carriage return", b"/a%0dX"),
    path("delete character", b"/a%7f"),
)

SIZES: Final = (
    Case("target of 70 KB", get(target=b"/" + b"a" * 70_000), (414,)),
    Case("target of 17 KB", get(target=b"/" + b"a" * 17_000), (414,)),
    Case("target without end", b"GET /" + b"a" * 200_000, (414,)),
    Case("query of 70 KB", get(target=b"/?" + b"a" * 70_000), (414,)),
    Case("field of 70 KB (CPDoS)", get(b"X-A: " + b"b" * 70_000), (431,)),
    Case("field of 17 KB", get(b"X-A: " + b"b" * 17_000), (431,)),
    Case("name of 17 KB", get(b"X" * 17_000 + b": b"), (431,)),
    Case("3000 fields", get(*[b"X-A: b"] * 3000), (431,)),
    Case("130 fields", get(*[b"X-A: b"] * 130), (431,)),
    Case("fields of 80 KB together", get(*[b"X-A: " + b"b" * 8000] * 10), (431,)),
    Case("fields without end", get()[:-2] + b"X-A: b\r\n" * 20_000, (431,)),
    Case("one field without end", get()[:-2] + b"X-A: " + b"b" * 200_000, (431,)),
)


def ranges(name: str, value: bytes, *statuses: int) -> Case:
    return Case(f"range {name}", get(b"Range: " + value, target=b"/media"), statuses, closes=False)


RANGES: Final = (
    ranges("a thousand (httpd CVE-2011-3192)", b"bytes=" + b"0-,5-" * 500 + b"6-", 200, 416),
    ranges("nine that overlap", b"bytes=" + b",".join([b"0-99"] * 9), 200, 206, 416),
    ranges("falling starts", b"bytes=" + b",".join(b"%d-" % n for n in range(99, 0, -1)), 200, 416),
    ranges(
        "suffixes that overflow (nginx CVE-2017-7529)",
        b"bytes=-623,-9223372036854775185",
        *(200, 206, 416),
    ),
    ranges("end of 2^64", b"bytes=0-18446744073709551615", 206),
    ranges("start of 2^64", b"bytes=18446744073709551615-", 416),
    ranges("start of 10000 digits", b"bytes=" + b"9" * 10_000 + b"-", 200, 416),
    ranges("end of 10000 digits", b"bytes=0-" + b"9" * 10_000, 200, 206),
    ranges("reversed", b"bytes=5-2", 200, 416),
    ranges("past the end", b"bytes=1000-", 416),
    ranges("far past the end", b"bytes=5000-6000", 416),
    ranges("suffix of nothing", b"bytes=-0", 416),
    ranges("suffix beyond the start", b"bytes=-5000", 206, 200),
    ranges("without numbers", b"bytes=-", 200),
    ranges("letters", b"bytes=a-b", 200),
    ranges("negative", b"bytes=--5", 200),
    ranges("signed", b"bytes=+1-5", 200),
    ranges("fraction", b"bytes=0.5-5", 200),
    ranges("hexadecimal", b"bytes=0x1-5", 200),
    ranges("other unit", b"items=0-5", 200),
    ranges("no unit", b"0-5", 200),
    ranges("empty", b"", 200),
    ranges("commas", b"bytes=" + b"," * 5000, 200, 416),
    ranges("quadratic white space (Starlette CVE-2025-62727)", b"bytes=" + b" " * 9000, 200),
    ranges("three dashes", b"bytes=1-2-3", 200),
    ranges("other digits", "bytes=٠-٥".encode(), 200),
)


def hop(name: str, *lines: bytes) -> Case:
    return Case(f"hop-by-hop {name}", get(*lines), (200,), closes=False)


HOP_BY_HOP: Final = (
    hop("names Host (Varnish CVE-2022-45059)", b"Connection: Host"),
    hop("names Cache-Control", b"Connection: Cache-Control"),
    hop("names Authorization", b"Connection: Authorization", b"Authorization: x"),
    hop("names Cookie", b"Connection: Cookie", b"Cookie: a=b"),
    hop("names X-Forwarded-For", b"Connection: X-Forwarded-For", b"X-Forwarded-For: 1.2.3.4"),
    hop("upgrade to h2c", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c"),
    hop("upgrade to websocket", b"Connection: Upgrade", b"Upgrade: websocket"),
    hop("Proxy-Connection", b"Proxy-Connection: keep-alive"),
    hop("Keep-Alive", b"Keep-Alive: timeout=9999"),
    hop("TE", b"Connection: TE", b"TE: trailers, deflate"),
    hop("Connection of odd tokens", b'Connection: "x", ;;, ,'),
    Case(
        "Connection names Content-Length (Varnish CVE-2022-23959)",
        post(b"Connection: Content-Length", b"Content-Length: %d" % len(INNER), body=INNER),
        (200,),
        closes=False,
    ),
)

UNKEYED: Final = (
    b"X-Forwarded-Host",
    b"X-Forwarded-Scheme",
    b"X-Forwarded-Proto",
    b"X-Forwarded-For",
    b"X-Forwarded-Port",
    b"X-Forwarded-Prefix",
    b"X-Host",
    b"X-Original-URL",
    b"X-Rewrite-URL",
    b"X-HTTP-Method-Override",
    b"X-Method-Override",
    b"Forwarded",
    b"True-Client-IP",
    b"CF-Connecting-IP",
    b"X-WAF-Bypass",
    b"User-Agent",
    b"Referer",
)
"""Fields that were used to poison caches: they change an origin's answer but not the key."""

GROUPS: Final = {
    "framing": FRAMING,
    "syntax": SYNTAX,
    "request line": REQUEST_LINE,
    "path": PATHS,
    "size": SIZES,
    "range": RANGES,
    "hop-by-hop": HOP_BY_HOP,
}
