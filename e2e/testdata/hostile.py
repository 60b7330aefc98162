"""Sends what no honest peer sends, one case a line of standard input.

A line is the name of a case and, after a tab, "answer" or "silence". For each
the name and what came back are printed: version and exchange, then the
payloads in order, notifies with their type and data. The messages are built
with scapy and then broken by hand; answers are read here, octet by octet.

usage: hostile.py ADDRESS
"""

import os
import socket
import sys
import time

from scapy.contrib import ikev2 as two
from scapy.layers import isakmp as one
from scapy.packet import Raw

SA, KE, NONCE, NOTIFY = 33, 34, 40, 41


def transforms(kinds):
    """A chain of IKEv2 transforms: (type, id, key length or None)."""
    out = b""
    for i, (kind, number, bits) in enumerate(kinds):
        t = two.IKEv2_payload_Transform(next_payload=3 if i + 1 < len(kinds) else 0, transform_type=kind, transform_id=number)
        if bits:
            t.length, t.key_length = 12, bits
        out += bytes(t)
    return out


STRONG = [(1, 12, 256), (2, 5, None), (3, 12, None), (4, 14, None)]
WEAK = [(1, 2, None), (2, 1, None), (3, 1, None), (4, 1, None)]


def proposals(kinds, count=1):
    body = b""
    for i in range(count):
        chain = transforms(kinds)
        body += bytes(two.IKEv2_payload_Proposal(
            next_payload=2 if i + 1 < count else 0, proposal=i + 1 & 255, proto="IKEv2", SPIsize=0, trans_nb=len(kinds) & 255, length=8 + len(chain))) + chain
    return body


def generic(following, body, flags=0, length=None):
    n = len(body) + 4 if length is None else length
    return bytes([following, flags]) + n.to_bytes(2, "big") + body


def payloads(*list_):
    """Each is (type, body[, flags[, length]]); gives the first type and the octets."""
    out = b""
    for i, p in enumerate(list_):
        following = list_[i + 1][0] if i + 1 < len(list_) else 0
        out += generic(following, *p[1:])
    return list_[0][0] if list_ else 0, out


def ke(group=14, value=None):
    return group.to_bytes(2, "big") + b"\0\0" + (value if value is not None else b"\x01" + os.urandom(255))


def init(kinds=STRONG, spi=None, group=14, value=None, extra=(), drop=(), count=1, **header):
    list_ = [(SA, proposals(kinds, count)), (KE, ke(group, value)), (NONCE, os.urandom(32)), *extra]
    return message2([p for p in list_ if p[0] not in drop], spi, **header)


def message2(list_, spi=None, **header):
    first, body = payloads(*list_)
    fields = dict(init_SPI=os.urandom(8) if spi is None else spi, resp_SPI=bytes(8), next_payload=first, version=0x20,
                  exch_type=34, flags=8, id=0, length=28 + len(body))
    fields.update(header)
    return bytes(two.IKEv2(**fields) / Raw(body)) if body else bytes(two.IKEv2(**fields))


def basic(kind, value):
    return (0x8000 | kind).to_bytes(2, "big") + value.to_bytes(2, "big")


def offer1(attributes=(), count=1, doi=1, spis=b""):
    """The body of an SA of IKEv1 with one proposal."""
    body = b""
    for i in range(count):
        a = b"".join(basic(*x) for x in attributes)
        body += bytes([3 if i + 1 < count else 0, 0]) + (8 + len(a)).to_bytes(2, "big") + bytes([i + 1 & 255, 1, 0, 0]) + a
    proposal = bytes([0, 0]) + (8 + len(spis) + len(body)).to_bytes(2, "big") + bytes([1, 1, len(spis), count & 255]) + spis + body
    return doi.to_bytes(4, "big") + (1).to_bytes(4, "big") + proposal


GOOD1 = [(1, 7), (14, 256), (2, 4), (3, 1), (4, 14)]
WEAK1 = [(1, 1), (2, 1), (3, 1), (4, 1)]


def message1(list_, **header):
    first, body = payloads(*list_)
    fields = dict(init_cookie=os.urandom(8), resp_cookie=bytes(8), next_payload=first, version=0x10,
                  exch_type=2, flags=0, id=0, length=28 + len(body))
    fields.update(header)
    return bytes(one.ISAKMP(**fields) / Raw(body)) if body else bytes(one.ISAKMP(**fields))


def main1(attributes=GOOD1, **kw):
    return message1([(1, offer1(attributes))], **kw)


def patched(b, at, *octets):
    out = bytearray(b)
    out[at:at + len(octets)] = bytes(octets)
    return bytes(out)


def cut(b, n, fix=False):
    out = b[:n]
    return patched(out, 24, *len(out).to_bytes(4, "big")) if fix and n >= 28 else out


MARKER = bytes(4)
once = init(spi=b"repeated")
again1 = main1(init_cookie=b"repeated")

CASES = {
    # IKEv2
    "v2 weak algorithms": lambda: init(WEAK),
    "v2 nothing but a proposal without transforms": lambda: init([]),
    "v2 key of another group": lambda: init(group=5),
    "v2 key of zero": lambda: init(value=bytes(256)),
    "v2 key cut short": lambda: init(value=b"\x01" * 17),
    "v2 unknown critical payload": lambda: init(extra=[(200, b"x", 0x80)]),
    "v2 unknown payload": lambda: init(WEAK, extra=[(200, b"x")]),
    "v2 reserved bits": lambda: patched(init(WEAK, flags=8 | 0xC7 & ~0x20), 29, 0x7F),
    "v2 minor version": lambda: init(WEAK, version=0x2F),
    "v2 no nonce": lambda: init(drop=[NONCE]),
    "v2 no SA": lambda: init(drop=[SA]),
    "v2 no payloads": lambda: message2([]),
    "v2 major version 3": lambda: init(version=0x30),
    "v2 major version 15": lambda: init(version=0xF0),
    "v2 major version 3, a response": lambda: init(version=0x30, flags=0x20),
    "v2 IKE_AUTH of no SA": lambda: message2([(46, os.urandom(64))], resp_SPI=os.urandom(8), exch_type=35, id=1),
    "v2 response of no SA": lambda: message2([(46, os.urandom(64))], resp_SPI=os.urandom(8), exch_type=37, flags=0x20, id=1),
    "v2 exchange 255 of no SA": lambda: message2([(46, os.urandom(64))], resp_SPI=os.urandom(8), exch_type=255, id=1),
    "v2 IKE_SA_INIT as a response": lambda: init(flags=0x20),
    "v2 IKE_SA_INIT with message id 1": lambda: init(id=1),
    "v2 IKE_SA_INIT with both SPIs": lambda: init(resp_SPI=b"responds"),
    "v2 SPI of zero": lambda: init(spi=bytes(8)),
    "v2 truncated in the header": lambda: cut(init(), 20),
    "v2 header only, length of the whole": lambda: cut(init(), 28),
    "v2 truncated in a payload": lambda: cut(init(), 100, fix=True),
    "v2 length too large": lambda: init(length=65535),
    "v2 length too small": lambda: init(length=28),
    "v2 length of four gigabytes": lambda: init(length=0xFFFFFFFF),
    "v2 octets after the message": lambda: init() + b"more",
    "v2 payload of length 0": lambda: patched(init(), 30, 0, 0),
    "v2 payload of length 3": lambda: patched(init(), 30, 0, 3),
    "v2 payload beyond the end": lambda: patched(init(), 30, 0xFF, 0xFF),
    "v2 proposal of length 0": lambda: patched(init(), 34, 0, 0),
    "v2 transforms counted wrong": lambda: patched(init(), 39, 200),
    "v2 SPI longer than its proposal": lambda: patched(init(), 38, 255),
    "v2 a thousand proposals": lambda: init(count=1000),
    "v2 two thousand transforms": lambda: init(STRONG[:1] * 2000),
    "v2 a thousand payloads": lambda: init(extra=[(43, b"x")] * 1000),
    "v2 sixty thousand octets": lambda: init(extra=[(43, bytes(60000))]),
    "v2 fragment of no SA": lambda: message2([(53, b"\0\1\xff\xff" + os.urandom(40))], resp_SPI=bytes(8), exch_type=35, id=1),
    "v2 as it should be": lambda: once,
    "v2 the same again": lambda: once,
    "v2 another one": lambda: init(),
    "v2 wrong cookie": lambda: message2([(NOTIFY, b"\0\0" + (16390).to_bytes(2, "big") + os.urandom(33)), (SA, proposals(STRONG)), (KE, ke()), (NONCE, os.urandom(32))]),
    # IKEv1
    "v1 aggressive mode": lambda: message1([(1, offer1(GOOD1)), (4, os.urandom(256)), (10, os.urandom(20)), (5, b"\2\0\0\0site")], exch_type=4),
    "v1 transaction": lambda: message1([(8, os.urandom(20))], exch_type=6),
    "v1 exchange 240": lambda: message1([(1, offer1(GOOD1))], exch_type=240),
    "v1 weak algorithms": lambda: main1(WEAK1),
    "v1 no SA": lambda: message1([(4, os.urandom(256))]),
    "v1 no payloads": lambda: message1([]),
    "v1 domain of interpretation 9": lambda: message1([(1, offer1(GOOD1, doi=9))]),
    "v1 reserved octet": lambda: patched(main1(), 29, 1),
    "v1 truncated": lambda: cut(main1(), 50, fix=True),
    "v1 length too large": lambda: main1(length=70000),
    "v1 payload of length 0": lambda: patched(main1(), 30, 0, 0),
    "v1 two hundred transforms of a thousand": lambda: message1([(1, offer1(WEAK1, count=1000))]),
    "v1 long SPI": lambda: message1([(1, offer1(GOOD1, spis=bytes(250)))]),
    "v1 cookie of zero": lambda: main1(init_cookie=bytes(8)),
    "v1 message id in main mode": lambda: main1(id=7),
    "v1 encrypted first message": lambda: main1(flags=1),
    "v1 quick mode of no SA": lambda: message1([(8, os.urandom(60))], exch_type=32, flags=1, id=5, resp_cookie=b"responds"),
    "v1 DELETE in the clear": lambda: message1([(12, b"\0\0\0\1\1\x10\0\1" + os.urandom(16))], exch_type=5),
    "v1 third message of no SA": lambda: message1([(4, os.urandom(256)), (10, os.urandom(20))], resp_cookie=b"responds"),
    "v1 fragment of no SA": lambda: message1([(132, b"\0\1\1\1" + os.urandom(40))], resp_cookie=b"responds"),
    "v1 as it should be": lambda: again1,
    "v1 the same again": lambda: again1,
    # neither
    "nothing": lambda: b"",
    "one octet": lambda: b"\0",
    "27 octets": lambda: bytes(27),
    "zeros": lambda: bytes(1400),
    "noise": lambda: os.urandom(1400),
    "version 0": lambda: init(version=0),
    "4500: two octets": lambda: (4500, b"\0\0"),
    "4500: the marker alone": lambda: (4500, MARKER),
    "4500: half a header": lambda: (4500, MARKER + bytes(14)),
    "4500: ESP of no SA": lambda: (4500, b"\xde\xad\xbe\xef" + os.urandom(100)),
    "4500: ESP too short": lambda: (4500, b"\xde\xad\xbe\xef\0"),
    "4500: weak algorithms": lambda: (4500, MARKER + init(WEAK)),
    "4500: IKE without the marker": lambda: (4500, init(WEAK)),
}

NAMES = {2: {33: "SA", 34: "KE", 40: "Nonce", 41: "N", 46: "SK"}, 1: {1: "SA", 4: "KE", 10: "Nonce", 11: "N", 13: "V", 20: "NAT-D"}}


def words(b):
    """What an answer says."""
    if len(b) < 28:
        return "%d octets" % len(b)
    major, kind, rest = b[17] >> 4, b[16], b[28:]
    out = []
    while kind and len(rest) >= 4:
        n = int.from_bytes(rest[2:4], "big")
        name = NAMES.get(major, {}).get(kind, str(kind))
        if name == "N":
            body = rest[8 if major == 1 else 4:n]  # IKEv1 has the DOI first
            spi = body[1]
            data = body[4 + spi:]
            name = "N(%d%s)" % (int.from_bytes(body[2:4], "big"), ":" + data.hex() if data and len(data) <= 4 else "")
        out.append(name)
        kind, rest = rest[0], rest[n:]
    return "%d/%d: %s" % (major, b[18], " ".join(out))


def send(address, case):
    """Sends a case and waits a little; the words of what comes back, or ''."""
    data, marker, port = case(), 0, 500
    if isinstance(data, tuple):
        port, data = data
        marker = 4
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((address, port))
        s.settimeout(0.5)
        s.send(data)
        try:
            return words(s.recv(65535)[marker:])
        except (TimeoutError, ConnectionRefusedError):
            return ""


for line in sys.stdin:
    name, want = line.rstrip("\n").split("\t")
    got = ""
    if want == "silence":
        time.sleep(1.1)  # answers to nonsense are a second apart: it must not be that
        got = send(sys.argv[1], CASES[name])
    else:
        for _ in range(6):
            got = send(sys.argv[1], CASES[name])
            if got:
                break
            time.sleep(0.6)
    print(name + "\t" + got, flush=True)
