"""Headers that must be refused: the fixed start, the stored context, which fault is told first."""

import kuvert_writer as w
from cases import KEY, OTHER, after, bad, kwp, material, ok
from kuvert_writer import Geometry, Slot


def hello(seed, geometry=None, stored=None, required=None, **other):
    m = material(seed, stored, required, **other)
    return w.message(m, [Slot([kwp(m)])], b"hello", geometry)


def beginning():
    whole = hello("beginning")
    bad("h001-empty", "no bytes at all", b"", "truncated")
    for length in (1, 5, 7, 8, 9, 12, 31):
        bad(f"h002-first-{length}", "cut within the first 32 bytes", whole[:length], "truncated")
    bad("h002-short-and-strange", "below 32 bytes only the magic is judged", w.MAGIC + b"\xff" * 20, "truncated")
    for name, comment, data in (
        ("text", "somebody's text", b"-----BEGIN PGP MESSAGE-----\n\nhQEMA1\n-----END PGP MESSAGE-----\n"),
        ("gzip", "a compressed file", bytes.fromhex("1f8b0800000000000003") + bytes(40)),
        ("zeros", "a sparse file", bytes(400)),
        ("first-byte", "the first byte only", b"\x88" + whole[1:]),
        ("last-byte-of-magic", "the last byte of the magic only", whole[:7] + b"\x0b" + whole[8:]),
        ("short", "two bytes, the second one wrong", b"\x89L"),
        ("one-byte", "one wrong byte", b"K"),
        ("shorter-than-32", "31 bytes that do not begin right", b"\x89KUX" + bytes(27)),
    ):
        bad(f"h003-{name}", comment, data, "malformed")
    for name, comment, magic in (
        ("crlf-to-lf", "CR LF became LF on the way", b"\x89KUV\n\x1a\n"),
        ("lf-to-crlf", "LF became CR LF", b"\x89KUV\r\r\n\x1a\r\n"),
        ("bit-7-lost", "sent over a 7-bit channel", b"\x09KUV\r\n\x1a\n"),
        ("utf-8-replaced", "read as UTF-8 and written again", b"\xef\xbf\xbdKUV\r\n\x1a\n"),
        ("latin-1-to-utf-8", "converted from Latin-1", b"\xc2\x89KUV\r\n\x1a\n"),
    ):
        bad(f"h004-{name}", f"text-mode transfer: {comment}", magic + whole[8:], "malformed")
    bad("h004-cut-at-1a", "text-mode transfer: cut at the end-of-file mark", whole[:6], "truncated")


def fixed_start():
    for version in (0, 2, 255):
        bad(f"h005-version-{version}", "a version of the future, or none", hello("v", version=version), "unsupported")
    for kind in (0, 3, 255):
        bad(f"h006-kind-{kind}", "a kind that does not exist", hello("k", kind=kind), "unsupported")
    for suite in (0, 2, 0x0100, 0xFFFF):
        bad(f"h007-suite-{suite:04x}", "a suite that does not exist", hello("s", suite=suite), "unsupported")
    bad("h008-pad-len-32", "32 bytes of padding", hello("p", Geometry(pad_len=32)), "malformed")
    bad("h008-pad-len-255", "255 bytes of padding", hello("p", Geometry(pad_len=255)), "malformed")
    for name, padding in (("first", b"\1" + bytes(30)), ("last", bytes(30) + b"\1")):
        bad(
            f"h008-padding-{name}-byte",
            "padding that is not zero",
            hello("p", Geometry(pad_len=31, padding=padding)),
            "malformed",
        )
    for bit in range(1, 8):
        bad(f"h009-flag-bit-{bit}", "an unknown layout flag", hello("f", Geometry(flags=1 << bit)), "unsupported")
    bad("h009-flags-ff", "all layout flags", hello("f", Geometry(flags=255)), "unsupported")
    for i in range(9):
        reserved = bytes(i) + b"\1" + bytes(8 - i)
        bad(
            f"h010-reserved-{23 + i}",
            "a reserved byte that is not zero",
            hello("r", Geometry(reserved=reserved)),
            "malformed",
        )
    for length in (16_385, 0x7FFFFFFF, 0xFFFFFFFF):
        bad(
            f"h011-context-len-{length}",
            "nothing may be allocated for this",
            hello("c", Geometry(context_len=length)),
            "limit-exceeded",
        )
    for length, category in (
        (0, "malformed"),
        (1, "malformed"),
        (112, "malformed"),
        (127, "malformed"),
        (129, "malformed"),
        (136, "malformed"),
        (131_071, "malformed"),
        (131_073, "limit-exceeded"),
        (131_088, "limit-exceeded"),
        (0xFFFFFFF0, "limit-exceeded"),
        (0xFFFFFFFF, "limit-exceeded"),
    ):
        data = hello("c")
        bad(
            f"h012-slot-len-{length}", "an impossible length of a slot", data[:16] + w.u32(length) + data[20:], category
        )
    for count in (0, 3, 255):
        bad(f"h013-slot-count-{count}", "neither one slot nor two", hello("n", Geometry(slot_count=count)), "malformed")
    whole = hello("e", stored={b"table": b"users"})
    context = {b"table": b"users"}
    for name, end in (("prefix-only", 32), ("in-context", 40), ("in-slot", 100), ("before-mac-ends", len(whole) - 78)):
        bad(f"h014-{name}", "the input ends within the header", whole[:end], "truncated", context=context)
    bad("h014-second-slot", "the input ends within slot B", hello("e", Geometry("rewrappable"))[:3000], "truncated")
    bad(
        "h014-longest-header",
        "a short file that claims the longest header",
        whole[:12] + w.u32(16_384) + w.u32(131_072) + b"\2\0\37" + bytes(9),
        "truncated",
    )
    for limit in (159, 4095):
        layout = "compact" if limit == 159 else "rewrappable"
        bad(
            f"limit-header-{layout}",
            "one byte longer than this reader allows",
            hello("l", Geometry(layout)),
            "limit-exceeded",
            max_header_len=limit,
        )
    ok("limit-header-exact", "as long as this reader allows", hello("l"), b"hello", max_header_len=160)


def stored(line, name, comment, stored_bytes, category="malformed", present=None):
    m = material(name, stored_bytes=stored_bytes, all_bytes=stored_bytes)
    bad(
        f"h{line:03}-context-{name}", comment, w.message(m, [Slot([kwp(m)])], b"hello"), category, context=present or {}
    )


def stored_context():
    a1, b2 = (b"a", b"1"), (b"b", b"2")
    two = {b"a": b"1", b"b": b"2"}
    stored(16, "count-0", "the empty set is no bytes at all", w.u16(0))
    stored(16, "count-0-with-pair", "a count of 0, and a pair", w.context_bytes([a1], count=0), present={b"a": b"1"})
    stored(16, "count-too-small", "count 1, two pairs", w.context_bytes([a1, b2], count=1), present=two)
    stored(16, "count-too-large", "count 3, two pairs", w.context_bytes([a1, b2], count=3), present=two)
    stored(16, "half-a-count", "one byte", b"\0")
    stored(16, "name-past-end", "the name's length passes the end", w.u16(1) + w.u16(9) + b"a", present=two)
    stored(16, "value-past-end", "the value's length passes the end", w.u16(1) + w.u16(1) + b"a" + w.u16(2) + b"1")
    stored(16, "value-len-past-end", "the end comes within the value's length", w.u16(1) + w.u16(1) + b"a\0")
    stored(16, "trailing-byte", "a byte after the last pair", w.context_bytes([a1]) + b"\0", present={b"a": b"1"})
    stored(17, "unsorted", "names in descending order", w.context_bytes([b2, a1]), present=two)
    stored(
        17,
        "unsorted-prefix",
        "a name before its own prefix",
        w.context_bytes([(b"aa", b"1"), a1]),
        present={b"a": b"1", b"aa": b"1"},
    )
    stored(
        17,
        "unsorted-case",
        "sorted without regard to case",
        w.context_bytes([a1, (b"B", b"2")]),
        present={b"a": b"1", b"B": b"2"},
    )
    stored(17, "duplicate", "one name twice", w.context_bytes([a1, (b"a", b"2")]), present={b"a": b"1"})
    stored(17, "duplicate-equal", "one pair twice", w.context_bytes([a1, a1]), present={b"a": b"1"})
    for name, odd in (("ff", b"\xff"), ("overlong", b"\xc0\x80"), ("surrogate", b"\xed\xa0\x80"), ("cut", b"\xe5\x90")):
        stored(18, f"name-utf-8-{name}", "a name that is not UTF-8", w.context_bytes([(odd, b"v")]))
        stored(18, f"value-utf-8-{name}", "a value that is not UTF-8", w.context_bytes([(b"n", odd)]))
    stored(18, "empty-name", "a pair without a name", w.context_bytes([(b"", b"v")]))
    pairs = [(b"name-%02d" % i, b"v") for i in range(65)]
    stored(18, "65-pairs", "one pair too many", w.context_bytes(pairs), "limit-exceeded")
    stored(18, "count-65535", "the count is judged first of all", w.u16(0xFFFF), "limit-exceeded")
    stored(18, "name-256", "a name one byte too long", w.context_bytes([(b"n" * 256, b"v")]), "limit-exceeded")
    stored(18, "name-65535-past-end", "the limit is judged before the end", w.u16(1) + w.u16(0xFFFF), "limit-exceeded")
    stored(18, "value-4097", "a value one byte too long", w.context_bytes([(b"n", b"v" * 4097)]), "limit-exceeded")
    for name in (
        b"kuvert:role",
        b"kuvert:reference",
        b"kuvert:",
        b"kuvert:x",
        b"aws-crypto-public-key",
        b"aws-crypto-",
    ):
        text = name.decode().replace(":", "_")
        stored(19, f"reserved-{text}", "a reserved name in a message", w.context_bytes([(name, b"record")]))


def other_context():
    def m(name, present, line=20, category=bad, s=None, r=None, **fields):
        s = {b"table": b"users"} if s is None else s
        category(
            f"h{line:03}-{name}",
            "another context than the sealed one",
            hello(name, stored=s, required=r),
            "wrong-context",
            context=present,
            **fields,
        )

    m("stored-other-value", {b"table": b"orders"})
    m("stored-other-case", {b"table": b"Users"})
    m("stored-longer-value", {b"table": b"users "})
    m("stored-not-presented", {})
    m("stored-one-of-two", {b"a": b"1"}, s={b"a": b"1", b"b": b"2"})
    m("stored-nfd-for-nfc", {b"name": "e\u0301".encode()}, s={b"name": "é".encode()})
    m("accept-stored-other-value", {b"table": b"orders"}, accept_stored=True)
    tenant = {b"tenant": b"acme"}
    m("required-missing", {b"table": b"users"}, 21, after, r=tenant)
    m("required-missing-alone", {}, 21, after, s={}, r=tenant)
    m("required-other-value", {b"table": b"users", b"tenant": b"other"}, 21, after, r=tenant)
    m("required-other-name", {b"table": b"users", b"Tenant": b"acme"}, 21, after, r=tenant)
    m("required-empty-for-missing", {b"table": b"users", b"tenant": b""}, 21, after)
    m("one-pair-too-many", {b"table": b"users", b"tenant": b"acme"}, 21, after)
    m("one-pair-too-many-no-context", {b"tenant": b"acme"}, 21, after, s={})
    m("accept-stored-required-missing", {}, 21, after, r=tenant, accept_stored=True)
    m("pairs-split-elsewhere", {b"a": b"bc"}, 21, after, s={}, r={b"ab": b"c"})
    many = {b"name-%02d" % i: b"v" for i in range(64)}
    bad(
        "limit-context-union",
        "stored and presented pairs together are 65",
        hello("union", stored={b"stored": b"1"}),
        "limit-exceeded",
        context=many,
        accept_stored=True,
    )
    for name in (b"kuvert:role", b"aws-crypto-x"):
        text = name.decode().replace(":", "_")
        bad(
            f"usage-presented-{text}",
            "a reserved name presented by the caller",
            hello("u"),
            "usage",
            context={name: b"v"},
        )


def first_fault():
    """Two faults in one file: the one that comes first in section 7 is told."""

    def first(name, comment, data, category, judge=bad, **fields):
        judge(f"first-{name}", f"two faults: {comment}", data, category, **fields)

    def patched(data, at, value):
        return data[:at] + value + data[at + len(value) :]

    g = Geometry
    whole = hello("first", stored={b"table": b"users"})
    envelope = w.envelope_material(b"k" * 32, b"s" * 24, "record", 1)
    envelope = w.message(envelope, [Slot([kwp(envelope)])], b"")
    first("magic-short", "wrong magic, too short", b"\x89KUV\r\n\x1b", "malformed")
    first("version-kind", "version, then a key envelope", patched(envelope, 8, b"\2"), "unsupported")
    first("kind-suite", "a key envelope, then its suite", patched(envelope, 10, b"\7\7"), "malformed")
    first("unknown-kind-suite", "an unknown kind, then reserved bytes", patched(whole, 9, b"\7"), "unsupported")
    first(
        "suite-flags", "suite, then context_len", patched(patched(whole, 10, b"\0\2"), 12, b"\xff" * 4), "unsupported"
    )
    first(
        "flags-context-len",
        "flags, then context_len",
        patched(patched(whole, 21, b"\2"), 12, b"\xff" * 4),
        "unsupported",
    )
    first(
        "context-len-slot-len",
        "context_len too large, slot_len odd",
        patched(whole, 12, b"\xff" * 4 + w.u32(127)),
        "limit-exceeded",
    )
    first(
        "slot-len-slot-count",
        "slot_len too large, slot_count 0",
        patched(whole, 16, w.u32(131_088) + b"\0"),
        "limit-exceeded",
    )
    first("reserved-truncated", "reserved bytes, then the header's end", patched(whole, 31, b"\1")[:60], "malformed")
    first(
        "limit-truncated", "the reader's limit, then the header's end", whole[:60], "limit-exceeded", max_header_len=100
    )
    first(
        "reserved-limit",
        "reserved bytes, then the reader's limit",
        patched(whole, 31, b"\1"),
        "malformed",
        max_header_len=100,
    )
    padded = hello("first", g(pad_len=31, padding=b"\1" * 31))
    first("header-end-padding", "the header's end, then its padding", padded[:-78], "truncated")
    detached = hello("first", g(pad_len=31, padding=b"\1" * 31, flags=1))
    first("padding-detached", "padding, then a detached header without a body", detached, "malformed")
    first("detached-body", "a detached header without a body given, cut", hello("first", g("detached"))[:-20], "usage")
    first("body-context", "the body's end, then the stored context", patched(whole, 32, w.u16(999))[:-70], "truncated")
    first("body-wrong-context", "the body's end, then a pair not presented", whole[:-70], "truncated")
    first(
        "body-end-no-key",
        "a body of 63 bytes, then no key of ours",
        hello("first body end")[:-14],
        "truncated",
        keys=[OTHER],
        expect_stream="key-unavailable",
    )
    long = material("first long")
    long = w.message(long, [Slot([kwp(long)])], bytes(16_384))[:-10]
    first(
        "last-chunk-no-key",
        "a last chunk of 6 bytes, then no key of ours",
        long,
        "truncated",
        keys=[OTHER],
        expect_stream="key-unavailable",
    )
    first(
        "context-other-context",
        "the stored context, then a pair not presented",
        hello("first", stored_bytes=w.context_bytes([(b"b", b"1"), (b"a", b"1")]), all_bytes=b""),
        "malformed",
    )
    first("context-limit-rest", "65 pairs counted, none there", patched(whole, 32, w.u16(65)), "limit-exceeded")
    m = material("first", {b"table": b"users"})
    bad_slot = Slot([kwp(m)], generation=0)
    no_good = w.message(m, [bad_slot], b"hello")
    first("wrong-context-bad-slot", "a pair not presented, then a bad slot", no_good, "wrong-context")
    first("bad-slot-key", "a bad slot, then no key of ours", no_good, "malformed", context=m.stored, keys=[OTHER])
    wrong_mac = w.message(m, [Slot([kwp(m)], mac=bytes(32))], b"hello")
    first(
        "key-mac",
        "no key of ours, then a wrong MAC",
        wrong_mac,
        "key-unavailable",
        after,
        context=m.stored,
        keys=[OTHER],
    )
    flipped = wrong_mac[:-77] + bytes([wrong_mac[-77] ^ 1]) + wrong_mac[-76:]
    first("commitment-mac", "the salt, then a wrong MAC", flipped, "wrong-context", after, context=m.stored)
    first(
        "mac-chunk",
        "a wrong MAC, then a wrong chunk",
        wrong_mac[:-1] + bytes([wrong_mac[-1] ^ 1]),
        "tampered",
        after,
        context=m.stored,
    )
    old = w.message(m, [Slot([kwp(m)])], b"hello")
    first(
        "generation-chunk",
        "the generation, then a wrong chunk",
        old[:-1] + bytes([old[-1] ^ 1]),
        "tampered",
        after,
        context=m.stored,
        min_generation=2,
        released_at_most=0,
    )
    garbage = w.stanza(w.KWP, KEY.encode(), b"", bytes(40))
    first(
        "wrong-key-wrong-context",
        "one stanza does not unwrap, one unwraps another key: the context is told",
        w.message(m, [Slot([garbage, kwp(material("another"))])], b"hello"),
        "wrong-context",
        after,
        context=m.stored,
    )
    first(
        "wrong-key-unknown",
        "one stanza does not unwrap, the others are not ours: the key is told",
        w.message(m, [Slot([w.stanza(0x9000, b"x", b"", b"y"), garbage])], b"hello"),
        "wrong-key",
        after,
        context=m.stored,
    )


def make():
    beginning()
    fixed_start()
    stored_context()
    other_context()
    first_fault()
