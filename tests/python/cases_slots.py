"""Slots and stanzas that must be refused, alone and beside a good slot; keys that do not fit; MACs that do not."""

import kuvert_writer as w
from cases import KEY, KEYS, OTHER, after, bad, kwp, material, ok
from cases_ok import KWP_1, KWP_2, all_of
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from kuvert_writer import Geometry, Slot

M = material("slot faults")
GOOD = Slot([kwp(M)])
ROOM = 640


def wrap(length):
    return w.Draw(f"wrap {length}").take(length)


def fault(line, name, comment, slot, category="malformed"):
    """The slot alone, and in a header whose other slot is good: in A and in B."""
    slot_len = max(ROOM, -(-slot.needs() // 16) * 16)
    bad(f"h{line:03}-{name}", comment, w.message(M, [slot], b"hello", Geometry(slot_len=slot_len)), category)
    in_a = len(name) % 2 == 0
    slots = [slot, GOOD] if in_a else [GOOD, slot]
    ok(
        f"h{line:03}-{name}-beside-good",
        f"{comment}; slot {'B' if in_a else 'A'} is good",
        w.message(M, slots, b"hello", Geometry("rewrappable", slot_len=slot_len)),
        b"hello",
        degraded=True,
    )


def stanza_fault(line, name, comment, *stanzas):
    fault(line, name, comment, Slot([kwp(M), *stanzas]))


def slot_faults():
    ours = kwp(M)
    fault(22, "stanza-count-0", "no stanzas", Slot([], stanza_bytes=0, count=0))
    fault(22, "stanza-count-0-with-stanza", "a count of 0, and a stanza", Slot([ours], count=0))
    fault(22, "stanza-count-33", "33 stanzas", Slot([ours] * 33), "limit-exceeded")
    fault(22, "stanza-count-65535", "a count of 65535", Slot([ours], count=0xFFFF), "limit-exceeded")
    fault(22, "stanza-count-2-of-1", "a count of 2, one stanza", Slot([ours], count=2))
    fault(22, "stanza-count-1-of-2", "a count of 1, two stanzas", Slot([ours, ours], count=1))
    size = len(ours)
    for name, length in (
        ("less", size - 1),
        ("more", size + 1),
        ("zero", 0),
        ("start-only", 12),
        ("slot-end", ROOM),
        ("one-past-space", ROOM - 43),
        ("largest", 0xFFFFFFFF),
    ):
        fault(
            23,
            f"stanza-bytes-{name}",
            "stanza_bytes is not the length of the stanzas",
            Slot([ours], stanza_bytes=length),
        )
    for name, lens in (
        ("id-past-end", (2048, 0, 40)),
        ("params-past-end", (11, 1024, 40)),
        ("wrap-past-end", (11, 0, 6144)),
    ):
        stanza_fault(
            24, name, "a length passes the end of the stanzas", w.stanza(0x9000, b"i" * 11, b"", wrap(40), lens=lens)
        )
    for name, parts in (
        ("id-2049", (b"i" * 2049, b"", wrap(1))),
        ("params-1025", (b"", b"p" * 1025, wrap(1))),
        ("wrap-6145", (b"", b"", wrap(6145))),
        ("wrap-0", (b"i", b"p", b"")),
    ):
        stanza_fault(24, name, "a length out of range, even of an unknown type", w.stanza(0x9000, *parts))
    stanza_fault(24, "cut-stanza", "the last stanza's start is cut", ours[:11])
    for name, padding in (("first", b"\1"), ("last", bytes(ROOM - 44 - size - 1) + b"\1")):
        fault(25, f"slot-padding-{name}", "padding that is not zero", Slot([ours], padding=padding, stanza_bytes=size))
    fault(26, "slot-reserved-low", "reserved bytes of the slot", Slot([ours], reserved=1))
    fault(26, "slot-reserved-high", "reserved bytes of the slot", Slot([ours], reserved=0x8000))
    stanza_fault(26, "stanza-flags", "flags of a stanza", w.stanza(w.KWP, b"x", b"", wrap(40), flags=1))
    stanza_fault(
        26, "stanza-reserved", "reserved bytes of a stanza", w.stanza(w.KWP, b"x", b"", wrap(40), reserved=0x0100)
    )
    fault(43, "generation-0", "generation 0", Slot([ours], generation=0))
    fault(43, "only-a-mac", "all zero but the MAC", Slot([], generation=0, count=0, stanza_bytes=0, mac=b"\1" * 32))


def impossible_stanzas():
    for length in (1, 24, 32, 39, 41, 48):
        stanza_fault(27, f"kwp-{length}", "AES-KWP gives 40 bytes", w.stanza(w.KWP, b"x", b"", wrap(length)))
    stanza_fault(27, "kwp-params", "AES-KWP has no params", w.stanza(w.KWP, b"x", b"\0", wrap(40)))
    for length in (32, 48, 59, 61, 63, 65, 76):
        stanza_fault(
            63,
            f"hsm-gcm-{length}",
            "an HSM's AES-GCM gives 60 or 64 bytes",
            w.stanza(w.HSM_GCM, b"x", b"", wrap(length)),
        )
    stanza_fault(63, "hsm-gcm-params", "it has no params", w.stanza(w.HSM_GCM, b"x", b"\x0c\x10", wrap(60)))
    for kind, text in ((w.RSA_SHA256, "rsa-sha256"), (w.RSA_SHA1, "rsa-sha1"), (w.KMS_RSA, "kms-rsa")):
        for length in (128, 248, 255, 257, 260, 1025, 1032):
            stanza_fault(27, f"{text}-{length}", "no RSA key has this length", w.stanza(kind, b"x", b"", wrap(length)))
        stanza_fault(27, f"{text}-params", "RSA-OAEP has no params", w.stanza(kind, b"x", b"\0", wrap(256)))
    for name, params in (
        ("none", b""),
        ("count-short", b"\2\1a"),
        ("left-over", b"\1\1ab"),
        ("empty-name", b"\1\0"),
        ("past-end", b"\1\5a"),
        ("unsorted", b"\2\1b\1a"),
        ("twice", b"\2\1a\1a"),
        ("not-utf-8", b"\1\1\xff"),
        ("zero-left-over", b"\0\0"),
    ):
        stanza_fault(
            27, f"kms-params-{name}", "the list of names is not well formed", w.stanza(w.KMS, b"arn", params, wrap(184))
        )
    for name, parts in (
        ("id", (b"x", w.u64(1), wrap(40))),
        ("reference-0", (b"", w.u64(0), wrap(40))),
        ("params-7", (b"", bytes(6) + b"\1", wrap(40))),
        ("params-9", (b"", bytes(8) + b"\1", wrap(40))),
        ("no-params", (b"", b"", wrap(40))),
        ("wrap-48", (b"", w.u64(1), wrap(48))),
    ):
        stanza_fault(
            27, f"parent-{name}", "a parent key has no id, a reference and 40 bytes", w.stanza(w.PARENT, *parts)
        )


def impossible_all_of():
    def fault_of(name, comment, wrapped, name_of_key=b"", params=b""):
        stanza_fault(46, f"all-of-{name}", comment, w.stanza(w.ALL_OF, name_of_key, params, wrapped))

    one, two = (w.stanza(*member[:3], wrap(40)) for member in (KWP_1, KWP_2))
    rest = wrap(40)
    fault_of("n-0", "no members", b"\0" + rest)
    fault_of("n-1", "one member", b"\1" + one + rest)
    nine = b"".join(w.stanza(w.KWP, b"%d" % i, b"", wrap(40)) for i in range(9))
    fault_of("n-9", "nine members", b"\x09" + nine + rest)
    fault_of("n-255", "a count that the wrap cannot hold", b"\xff" + one + two + rest)
    fault_of("n-too-large", "a count of 3, two members", b"\3" + one + two + rest)
    fault_of(
        "n-too-small", "a count of 2, three members", b"\2" + one + two + w.stanza(w.KWP, b"c", b"", wrap(40)) + rest
    )
    for length in (0, 32, 39, 41, 48):
        fault_of(f"wrap-{length}", "40 bytes follow the members", b"\2" + one + two + wrap(length))
    fault_of("one-byte", "a count only", b"\2")
    fault_of("id", "an all-of has no id", b"\2" + one + two + rest, name_of_key=b"x")
    fault_of("params", "an all-of has no params", b"\2" + one + two + rest, params=b"x")
    fault_of("twice", "one (type, id) twice", b"\2" + one + w.stanza(w.KWP, b"anna", b"", wrap(41)[:40]) + rest)
    inner = w.stanza(w.ALL_OF, b"", b"", b"\2" + one + two + rest)
    fault_of("nested", "an all-of in an all-of", b"\2" + one + inner + rest)
    fault_of("pending", "a pending member", b"\2" + one + w.stanza(w.PENDING, b"x", w.u16(w.KWP), b"\0") + rest)
    fault_of("parent", "a parent key as member", b"\2" + one + w.stanza(w.PARENT, b"", w.u64(1), wrap(40)) + rest)
    fault_of("member-kwp-48", "a member that cannot be", b"\2" + one + w.stanza(w.KWP, b"b", b"", wrap(48)) + rest)
    fault_of(
        "member-rsa-255", "a member that cannot be", b"\2" + one + w.stanza(w.RSA_SHA256, b"b", b"", wrap(255)) + rest
    )
    fault_of("member-flags", "a member with flags", b"\2" + one + w.stanza(w.KWP, b"b", b"", wrap(40), flags=1) + rest)
    fault_of(
        "member-past-end",
        "a member's length passes the end",
        b"\2" + one + w.stanza(w.KWP, b"b", b"", wrap(40), lens=(1, 0, 6000)) + rest,
    )


def pending():
    def only(name, comment, *stanzas):
        fault(63, f"pending-{name}", comment, Slot(list(stanzas)))

    one = w.stanza(w.PENDING, b"k", w.u16(w.KWP), b"\0")
    only("only", "nobody can open this", one)
    only("only-two", "nobody can open this", one, w.stanza(w.PENDING, b"arn", w.u16(w.KMS) + b"\0", b"\0"))
    for name, comment, parts in (
        ("no-type", "no wanted type", (b"k", b"", b"\0")),
        ("half-a-type", "half a wanted type", (b"k", b"\0", b"\0")),
        ("wants-all-of", "an all-of cannot be pending", (b"", w.u16(w.ALL_OF), b"\0")),
        ("wants-pending", "a pending stanza cannot be pending", (b"k", w.u16(w.PENDING) + w.u16(w.KWP), b"\0")),
        ("wrap-1", "the wrap is one zero byte", (b"k", w.u16(w.KWP), b"\1")),
        ("wrap-00-00", "the wrap is one zero byte", (b"k", w.u16(w.KWP), b"\0\0")),
        ("kwp-params", "params of the wanted type", (b"k", w.u16(w.KWP) + b"\0", b"\0")),
        ("kms-no-params", "params of the wanted type", (b"arn", w.u16(w.KMS), b"\0")),
        ("kms-unsorted", "params of the wanted type", (b"arn", w.u16(w.KMS) + b"\2\1b\1a", b"\0")),
        ("parent-id", "the id of the wanted type", (b"k", w.u16(w.PARENT) + w.u64(1), b"\0")),
        ("parent-reference-0", "the params of the wanted type", (b"", w.u16(w.PARENT) + w.u64(0), b"\0")),
    ):
        stanza_fault(63, f"pending-{name}", comment, w.stanza(w.PENDING, *parts))
    unknown = w.stanza(0x9000, b"x", b"", b"y")
    after(
        "h063-pending-and-unknown",
        "pending and unknown types: well formed, and nobody opens it",
        w.message(M, [Slot([one, unknown])], b"hello"),
        "key-unavailable",
        calls=0,
    )


def keys():
    def one(line, name, comment, category, *stanzas, **fields):
        after(f"h{line:03}-{name}", comment, w.message(M, [Slot(list(stanzas))], b"hello"), category, **fields)

    arn = b"arn:aws:kms:us-east-1:999999999999:key/00000000-0000-0000-0000-000000000000"
    one(
        28,
        "unknown-types",
        "only types that nobody here knows",
        "key-unavailable",
        w.stanza(0x0030, b"a", b"", wrap(113)),
        w.stanza(0xBFFF, KEY.encode(), b"", wrap(40)),
        calls=0,
    )
    one(28, "other-id", "another key", "key-unavailable", kwp(M, OTHER), calls=0)
    one(
        28,
        "other-type-our-id",
        "our id under another type",
        "key-unavailable",
        w.stanza(w.HSM_GCM, KEY.encode(), b"", wrap(60)),
        calls=0,
    )
    for name, other in (
        ("prefix", KEY[:-1]),
        ("longer", KEY + "0"),
        ("upper", KEY.upper()),
        ("blank", KEY + " "),
        ("empty", ""),
        ("nul", KEY + "\0"),
    ):
        one(28, f"id-{name}", "an id that only resembles ours", "key-unavailable", kwp(M, name=other.encode()), calls=0)
    one(28, "id-not-utf-8", "an id that is not UTF-8", "key-unavailable", kwp(M, name=b"\xff" + KEY.encode()), calls=0)
    garbage = w.stanza(w.KWP, KEY.encode(), b"", bytes(40))
    one(29, "32-garbage", "32 stanzas that name our key: four calls", "wrong-key", *[garbage] * 32, calls=4)
    one(
        29,
        "good-one-is-fifth",
        "the right stanza comes after four wrong ones",
        "wrong-key",
        *[garbage] * 4,
        kwp(M),
        calls=4,
    )
    after(
        "h029-both-slots",
        "32 stanzas in both slots: four calls each",
        w.message(M, [Slot([garbage] * 32), Slot([garbage] * 32, generation=2)], b"hello", Geometry("rewrappable")),
        "wrong-key",
        calls=8,
    )
    one(
        30,
        "foreign-kms",
        "a KMS key of somebody else: no call",
        "key-unavailable",
        w.stanza(w.KMS, arn, w.kms_params(b"app"), wrap(184)),
        calls=0,
    )
    right = kwp(M)
    for name, at in (("first", -40), ("middle", -20), ("last", -1)):
        flipped = bytearray(right)
        flipped[at] ^= 1
        one(31, f"wrap-bit-{name}", "a bit of the wrap", "wrong-key", bytes(flipped), calls=1)
    one(
        31,
        "other-key-our-id",
        "wrapped under another key of our name",
        "wrong-key",
        kwp(M, OTHER, name=KEY.encode()),
        calls=1,
    )
    plain_kw = w.stanza(w.KWP, KEY.encode(), b"", aes_key_wrap(KEYS[KEY], M.dek))
    one(31, "rfc-3394", "the older key wrap, whose initial value is another", "wrong-key", plain_kw, calls=1)
    for length in (25, 31):
        one(
            34,
            f"unwrapped-{length}",
            "a key of another length that wraps to 40 bytes: never padded",
            "wrong-key",
            w.stanza(w.KWP, KEY.encode(), b"", w.wrap_key(KEYS[KEY], M.dek[:length])),
            calls=1,
        )
    one(35, "spliced-stanza", "the wrap of another message", "wrong-context", kwp(material("another")), calls=1)
    one(35, "spliced-two", "two of them", "wrong-context", kwp(material("another")), kwp(material("a third")), calls=2)
    one(46, "all-of-only", "an all-of that is not configured here", "key-unavailable", all_of(M, KWP_1, KWP_2), calls=0)
    one(
        46,
        "all-of-of-our-key",
        "our key as a member only: it opens nothing by itself",
        "key-unavailable",
        all_of(M, (w.KWP, KEY.encode(), b"", 40), KWP_2),
        calls=0,
    )


def flip(data, at, bit=1):
    out = bytearray(data)
    out[at] ^= bit
    return bytes(out)


def start_of_body():
    head, body = w.header(M, [GOOD]), M.body(b"hello")
    other = material("another")
    after(
        "h035-other-header",
        "the header of another message",
        w.header(other, [Slot([kwp(other)])]) + body,
        "wrong-context",
    )
    for line, name, at, bit in (
        (36, "commitment-first-bit", 24, 0x80),
        (36, "commitment-last-bit", 55, 1),
        (37, "salt-first-bit", 0, 0x80),
        (37, "salt-last-bit", 23, 1),
    ):
        after(f"h{line:03}-{name}", "cannot be told from another context", head + flip(body, at, bit), "wrong-context")
    after("h036-commitment-zero", "a commitment of zeros", head + body[:24] + bytes(32) + body[56:], "wrong-context")


def macs():
    body = M.body(b"hello")

    def one(line, name, comment, head, category="tampered", **fields):
        after(f"h{line:03}-{name}", comment, head + body, category, **fields)

    def two(name, a, b, **fields):
        return w.header(M, [a, b], Geometry("rewrappable")), fields

    head = w.header(M, [GOOD])
    for name, at in (("first", -32), ("last", -1)):
        one(38, f"mac-bit-{name}", "a bit of the MAC", flip(head, at))
    one(38, "mac-zero", "no MAC", w.header(M, [Slot([kwp(M)], mac=bytes(32))]))
    one(
        38,
        "mac-of-no-context",
        "the MAC was made without the label",
        w.header(M, [Slot([kwp(M)], mac=w.hmac512(M.derive("header-mac", 64), head[:-32] + M.body_start)[:32])]),
    )
    good_b = Slot([kwp(M)], generation=2)
    data = w.header(M, [Slot([kwp(M)], mac=bytes(32)), good_b], Geometry("rewrappable")) + body
    ok(
        "h038-mac-wrong-other-valid",
        "one MAC is wrong, the other slot's is right",
        data,
        b"hello",
        generation=2,
        degraded=True,
    )
    wrong = Slot([kwp(M)], mac=bytes(32))
    wrong_2 = Slot([kwp(M)], generation=2, mac=bytes(32))
    one(39, "both-macs-wrong", "no MAC is valid", w.header(M, [wrong, wrong_2], Geometry("rewrappable")))
    malformed, too_many = Slot([kwp(M)], generation=0), Slot([kwp(M)], count=33)
    for name, a, b, category in (
        ("both-malformed", malformed, malformed, "malformed"),
        ("malformed-then-limit", malformed, too_many, "malformed"),
        ("limit-then-malformed", too_many, malformed, "limit-exceeded"),
        ("empty-then-limit", None, too_many, "limit-exceeded"),
        ("empty-then-malformed", None, malformed, "malformed"),
        ("malformed-then-empty", malformed, None, "malformed"),
    ):
        bad(
            f"h039-{name}",
            "no slot is well formed: the fault of the first that is not empty",
            w.header(M, [a, b], Geometry("rewrappable")) + body,
            category,
        )
    after(
        "h039-bad-and-wrong-mac",
        "one slot is bad, the other one's MAC is wrong",
        w.header(M, [malformed, wrong], Geometry("rewrappable")) + body,
        "tampered",
    )
    for name, generation in (("1", 1), ("7", 7)):
        slots = [Slot([kwp(M)], generation), Slot([kwp(M), kwp(M, OTHER)], generation)]
        one(
            40,
            f"equal-generation-{name}",
            "two valid slots of one generation differ",
            w.header(M, slots, Geometry("rewrappable")),
        )
    bad("h041-empty-slot", "the only slot is empty", w.header(M, [None], Geometry()) + body, "malformed")
    bad(
        "h041-two-empty-slots",
        "both slots are empty",
        w.header(M, [None, None], Geometry("rewrappable")) + body,
        "malformed",
    )
    one(42, "generation-too-low", "the header was rolled back", head, min_generation=2)
    one(
        42,
        "generation-too-low-other-bad",
        "the newer slot is damaged: the older one is below the least generation",
        w.header(M, [GOOD, wrong_2], Geometry("rewrappable")),
        min_generation=2,
    )
    three = [kwp(M, OTHER), kwp(M), w.stanza(0x9000, b"x", b"", b"y")]
    mac = w.header(M, [Slot(three)], Geometry(slot_len=384))[-32:]
    for name, stanzas in (
        ("removed", three[:2]),
        ("added", [*three, three[2]]),
        ("reordered", [three[1], three[0], three[2]]),
        ("replaced", [kwp(M), kwp(M), three[2]]),
    ):
        one(
            44,
            f"recipient-{name}",
            "the stanzas were changed and the MAC was not",
            w.header(M, [Slot(stanzas, mac=mac)], Geometry(slot_len=384)),
        )
    one(
        44,
        "generation-raised",
        "the generation was changed and the MAC was not",
        w.header(M, [Slot([kwp(M)], generation=9, mac=head[-32:])]),
    )


def moved_bytes():
    """Line 45: the header's lengths were changed and its bytes moved to fit."""
    m = material("moved", {b"a": b"1", b"b": b"2"})
    right = w.header(m, [Slot([kwp(m)])])
    mac, body, slot = right[-32:], m.body(b"hello"), Slot([kwp(m)])
    slot.mac = mac
    less = w.Material(m.dek, m.salt, {b"a": b"1"}, {b"b": b"2"})
    shorter = w.header(less, [slot]) + body
    after(
        "h045-pair-taken-out",
        "a stored pair was taken out, the reader presents it",
        shorter,
        "tampered",
        context={b"a": b"1", b"b": b"2"},
    )
    after(
        "h045-pair-taken-out-accepted",
        "a stored pair was taken out, the reader presents what is left",
        shorter,
        "wrong-context",
        context={b"a": b"1"},
    )
    more = w.Material(m.dek, m.salt, {b"a": b"1", b"b": b"2", b"c": b"3"}, {})
    added = w.header(more, [slot]) + body
    bad(
        "h045-pair-put-in",
        "a stored pair was put in, the reader does not present it",
        added,
        "wrong-context",
        context=m.stored,
    )
    after(
        "h045-pair-put-in-presented",
        "a stored pair was put in, the reader presents it",
        added,
        "wrong-context",
        context=more.stored,
    )
    for name, g in (
        ("slot-len", Geometry(slot_len=160)),
        ("slot-count", Geometry("rewrappable", slot_len=128, pad_len=0)),
        ("pad-len", Geometry(pad_len=7)),
    ):
        data = w.header(m, [slot], g) + body
        assert data != right + body
        after(f"h045-{name}", "a length was changed and bytes moved to fit", data, "tampered", context=m.stored)
    head = w.header(m, [slot], Geometry("detached"))
    after(
        "h045-detached",
        "the header was made a detached one",
        head + body,
        "tampered",
        context=m.stored,
        detached_header=len(head),
    )
    again = w.Material(m.dek, w.Draw("other salt").take(24), m.stored)
    stolen = Slot([kwp(again)], mac=mac)
    after(
        "h047-mac-of-same-dek",
        "the MAC of another message under the same data key",
        w.header(again, [stolen]) + again.body(b"hello"),
        "tampered",
        context=m.stored,
    )


def make():
    slot_faults()
    impossible_stanzas()
    impossible_all_of()
    pending()
    keys()
    start_of_body()
    macs()
    moved_bytes()
