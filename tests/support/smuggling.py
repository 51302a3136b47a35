"""Requests that a proxy and a server could understand in different ways, byte by byte."""

INNER = b"GET /x/inside/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""A request within what may be the body of another one."""

HEAD = b"POST /chatkit/api HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BODY = b'{"type":"threads.list"}'
IN_A_CHUNK = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)

SHAPES = {
    "both lengths": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INNER,
    "both lengths, the other way round": HEAD
    + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"
    + INNER,
    "two lengths": HEAD + b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(INNER) + INNER,
    "two equal lengths": HEAD + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a list of lengths": HEAD + b"Content-Length: 3, 3\r\n\r\nabc",
    "a signed length": HEAD + b"Content-Length: +3\r\n\r\nabc",
    "a length that overflows": HEAD + b"Content-Length: 18446744073709551619\r\n\r\nabc",
    "bare LF everywhere": b"GET /health HTTP/1.1\nHost: localhost\n\n",
    "bare LF after the request line": b"GET /health HTTP/1.1\nHost: localhost\r\n\r\n",
    "bare LF after a header": b"GET /health HTTP/1.1\r\nHost: localhost\nA: b\r\n\r\n",
    "bare LF at the end of the head": b"GET /health HTTP/1.1\r\nHost: localhost\r\n\n",
    "bare CR": b"GET /health HTTP/1.1\r\nHost: localhost\r\nA: b\rTransfer-Encoding: chunked\r\n\r\n",
    "a folded header": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + IN_A_CHUNK,
    "a folded header at the beginning": b"GET /health HTTP/1.1\r\n A: b\r\nHost: localhost\r\n\r\n",
    "a space before the colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n" + IN_A_CHUNK,
    "a tab before the colon": HEAD + b"Transfer-Encoding\t: chunked\r\n\r\n" + IN_A_CHUNK,
    "NUL in a header": b"GET /health HTTP/1.1\r\nHost: localhost\r\nA: b\0c\r\n\r\n",
    "an escape sequence in a header": b"GET /health HTTP/1.1\r\nHost: localhost\r\nA: \x1b[2J\r\n\r\n",
    "an escape sequence in the path": b"GET /\x1b[2J HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a space in the path": b"GET /health HTTP/1.1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an unknown coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + IN_A_CHUNK,
    "another coding before chunked": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + IN_A_CHUNK,
    "another coding after chunked": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n" + IN_A_CHUNK,
    "two codings": HEAD + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n" + IN_A_CHUNK,
    "chunks in HTTP/1.0": CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + IN_A_CHUNK,
    "a chunk size that overflows": CHUNKED + b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "a chunk size with a prefix": CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "a chunk size and a space": CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n",
    "bare LF after a chunk size": CHUNKED + b"3\nabc\r\n0\r\n\r\n",
    "bare LF after a chunk": CHUNKED + b"3\r\nabc\n0\r\n\r\n",
    "bare LF in a chunk extension": CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "a length in a trailer": CHUNKED + b"3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n",
    "another protocol after the body": HEAD
    + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n" % len(INNER)
    + INNER,
    "another protocol after chunks": HEAD
    + b"Connection: upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n"
    + INNER,
    "a tunnel": b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n" + INNER,
    "a whole URL": b"GET http://internal.example/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    "an empty host": b"GET /health HTTP/1.1\r\nHost:\r\n\r\n",
    "a host with a user": b"GET /health HTTP/1.1\r\nHost: localhost:1@evil.example\r\n\r\n",
    "a host with a path": b"GET /health HTTP/1.1\r\nHost: localhost/evil.example\r\n\r\n",
    "a list of hosts": b"GET /health HTTP/1.1\r\nHost: localhost, evil.example\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a method in lower case": b"get /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
}
VERSIONS = {
    "HTTP/0.9": b"GET /health\r\n\r\n",
    "HTTP/2 without its preface": b"GET /health HTTP/2.0\r\nHost: localhost\r\n\r\n",
}
