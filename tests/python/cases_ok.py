"""Messages that open: layouts, sizes, contexts, stanzas, slots."""

import kuvert_writer as w
from cases import KEY, OTHER, full_context, kwp, material, ok, plain
from kuvert_writer import Geometry, Slot

SIZES = (0, 1, 2, 15, 16, 17, 1000, 16383, 16384, 16385, 32767, 32768, 32769)


def sizes_and_layouts():
    for layout in ("compact", "rewrappable", "detached"):
        for size in SIZES:
            m = material(f"{layout} {size}")
            head = w.header(m, [Slot([kwp(m)])], Geometry(layout))
            ok(
                f"ok-{layout}-{size}",
                f"{layout} layout, {size} bytes of plaintext",
                head + m.body(plain(size)),
                plain(size),
                detached_header=len(head) if layout == "detached" else None,
            )
    m = material("three chunks")
    ok(
        "ok-compact-49152",
        "three full chunks and the empty last one",
        w.message(m, [Slot([kwp(m)])], plain(49152)),
        plain(49152),
    )


def one_context(name, comment, stored, required=None, present=None, **fields):
    m = material(name, stored, required)
    whole = {**stored, **(required or {})}
    ok(
        f"ok-context-{name}",
        comment,
        w.message(m, [Slot([kwp(m)])], b"hello"),
        b"hello",
        context=whole if present is None else present,
        **fields,
    )


def contexts():
    one_context("stored", "two stored pairs", {b"table": b"users", b"id": b"42"})
    one_context("required", "one required pair, nothing in the header", {}, {b"tenant": b"acme"})
    one_context(
        "both", "stored and required pairs mix in the order of S", {b"b": b"2", b"d": b"4"}, {b"a": b"1", b"c": b"3"}
    )
    one_context("empty-value", "a value may be empty", {b"note": b""}, {b"other": b""})
    one_context(
        "unicode",
        "names and values are UTF-8, sorted as bytes",
        {"größe".encode(): "große".encode(), "名前".encode(): "あ".encode(), b"z": "🔑".encode()},
    )
    one_context(
        "nfc-and-nfd",
        "nothing is normalised: two forms of one letter are two names",
        {"é".encode(): b"composed", "e\u0301".encode(): b"decomposed"},
    )
    one_context(
        "order",
        "capitals before small letters, a prefix before what it begins, 7F before C3",
        {b"B": b"1", b"a": b"2", b"aa": b"3", b"b": b"4", b"\x7f": b"5", "é".encode(): b"6"},
    )
    one_context(
        "control-characters", "a name and a value may hold any UTF-8, even NUL, LF and =", {b"a\nb\0=": b"\r\n=\x1b[0m"}
    )
    one_context("longest-name", "a name of 255 bytes", {b"n" * 255: b"v"})
    one_context("longest-value", "a value of 4096 bytes", {b"name": b"v" * 4096})
    one_context("64-pairs", "the largest count", {b"name-%02d" % i: b"%d" % i for i in range(64)})
    one_context(
        "64-pairs-mixed",
        "the largest count, half of it required",
        {b"name-%02d" % i: b"%d" % i for i in range(32)},
        {b"req-%02d" % i: b"%d" % i for i in range(32)},
    )
    full = full_context()
    one_context("16384-bytes-stored", "the longest serialisation, all of it in the header", full)
    one_context("16384-bytes-required", "the longest serialisation, none of it in the header", {}, full)
    one_context(
        "almost-reserved",
        "names that only resemble the reserved ones",
        {b"kuvert": b"1", b"Kuvert:role": b"2", b"aws-crypto": b"3", b"x-kuvert:role": b"4"},
    )
    one_context(
        "accept-stored",
        "stored pairs need not be presented where the reader says so",
        {b"table": b"users"},
        present={},
        accept_stored=True,
    )
    one_context(
        "accept-stored-and-required",
        "the option does not replace required pairs",
        {b"table": b"users"},
        {b"tenant": b"acme"},
        present={b"tenant": b"acme"},
        accept_stored=True,
    )
    one_context(
        "accept-stored-some-presented",
        "a stored pair may be presented all the same",
        {b"a": b"1", b"b": b"2"},
        present={b"b": b"2"},
        accept_stored=True,
    )


def beside(name, comment, *stanzas, **fields):
    """A message with these stanzas before the one that is ours."""
    m = material(name)
    ok(f"ok-stanza-{name}", comment, w.message(m, [Slot([*stanzas, kwp(m)])], b"hello"), b"hello", **fields)


def all_of(m, *members):
    """An all-of of nested stanzas, each given as (type, id, params, length of the wrap)."""
    draw = w.Draw(f"all-of {m.salt.hex()}")
    shares = [draw.take(32) for _ in members]
    makes = [lambda share, member=member: w.stanza(*member[:3], draw.take(member[3])) for member in members]
    return w.stanza(w.ALL_OF, b"", b"", w.all_of_wrap(m.core, m.dek, makes, shares))


KWP_1, KWP_2 = (w.KWP, b"anna", b"", 40), (w.KWP, b"bert", b"", 40)


def stanzas():
    def wrap(length):
        return w.Draw(f"wrap {length}").take(length)

    arn = b"arn:aws:kms:eu-north-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    beside("kwp-of-others", "AES-KWP for somebody else", w.stanza(w.KWP, b"theirs", b"", wrap(40)))
    for length in (60, 64):
        beside(
            f"hsm-gcm-{length}",
            "an HSM's AES-GCM, IV of 12 or 16 bytes",
            w.stanza(w.HSM_GCM, b"hsm", b"", wrap(length)),
        )
    for kind, text in ((w.RSA_SHA256, "rsa-sha256"), (w.RSA_SHA1, "rsa-sha1"), (w.KMS_RSA, "kms-rsa")):
        for length in (256, 264, 512, 1024):
            beside(f"{text}-{length}", "RSA-OAEP", w.stanza(kind, b"rsa key", b"", wrap(length)))
    beside("kms", "KMS, no context pair passed", w.stanza(w.KMS, arn, w.kms_params(), wrap(184)))
    beside(
        "kms-names", "KMS, two context pairs passed", w.stanza(w.KMS, arn, w.kms_params(b"app", b"tenant"), wrap(184))
    )
    beside(
        "kms-longest",
        "the longest id, params and wrap",
        w.stanza(w.KMS, b"i" * 2048, w.kms_params(b"a" * 255, b"b" * 255, b"c" * 255, b"d" * 254), wrap(6144)),
    )
    beside(
        "kms-empty-id", "an empty id is well formed and matches nothing", w.stanza(w.KMS, b"", w.kms_params(), wrap(1))
    )
    beside("parent", "a parent key, named by its reference", w.stanza(w.PARENT, b"", w.u64(7), wrap(40)))
    m = material("ok all-of")
    beside("all-of-2", "an all-of of two keys", all_of(m, KWP_1, KWP_2))
    beside("all-of-8", "an all-of of eight", all_of(m, *[(w.KWP, b"%d" % i, b"", 40) for i in range(8)]))
    beside(
        "all-of-mixed",
        "an all-of of different types, an unknown one among them, in any order",
        all_of(
            m, (w.RSA_SHA256, b"hsm", b"", 256), KWP_1, (w.KMS, arn, w.kms_params(b"app"), 184), (0x7777, b"?", b"x", 9)
        ),
    )
    beside(
        "all-of-same-id-other-type",
        "one id under two types is two keys",
        all_of(m, (w.KWP, b"k", b"", 40), (w.HSM_GCM, b"k", b"", 60)),
    )
    beside(
        "all-of-of-our-key",
        "a key that is a member of an all-of opens nothing by itself: no call for it",
        all_of(m, (w.KWP, KEY.encode(), b"", 40), KWP_2),
        calls=1,
    )
    for wanted, name, params in (
        (w.KWP, b"k", b""),
        (w.HSM_GCM, b"k", b""),
        (w.RSA_SHA256, b"k", b""),
        (w.RSA_SHA1, b"k", b""),
        (w.KMS, arn, w.kms_params(b"app")),
        (w.KMS_RSA, arn, b""),
        (w.PARENT, b"", w.u64(9)),
        (0x7777, b"?", b"whatever"),
    ):
        beside(
            f"pending-{wanted:04x}",
            "a recipient that could not be reached",
            w.stanza(w.PENDING, name, w.u16(wanted) + params, b"\0"),
        )
    for kind in (0x0000, 0x0005, 0x0012, 0x0030, 0x0033, 0x003F, 0x0042, 0x7FFF, 0x8000, 0xBFFF, 0xC000, 0xFFFF):
        beside(f"unknown-{kind:04x}", "an unknown type is somebody else's", w.stanza(kind, b"id", b"params", wrap(33)))
    beside(
        "unknown-longest",
        "an unknown type with everything at its maximum",
        w.stanza(0x9000, b"i" * 2048, b"p" * 1024, wrap(6144)),
    )
    beside("unknown-shortest", "an unknown type with everything at its minimum", w.stanza(0x9000, b"", b"", b"w"))
    beside(
        "id-not-utf-8",
        "an id that is not UTF-8 is well formed and matches nothing",
        w.stanza(w.KWP, b"\xff\xfe", b"", wrap(40)),
    )
    beside("id-empty", "an empty id is well formed and matches nothing", w.stanza(w.KWP, b"", b"", wrap(40)), calls=1)
    beside(
        "32",
        "the largest number of stanzas, ours the last",
        *[w.stanza(w.KWP, b"k%d" % i, b"", wrap(40)) for i in range(31)],
        calls=1,
    )


def tries():
    garbage = w.stanza(w.KWP, KEY.encode(), b"", bytes(40))
    beside("three-garbage", "three stanzas of our id fail; the fourth is still tried", *[garbage] * 3, calls=4)
    other = material("of another message")
    beside(
        "one-spliced", "a stanza of another message unwraps and does not fit; the next one does", kwp(other), calls=2
    )
    m = material("two keys")
    two = w.message(m, [Slot([kwp(m, OTHER), kwp(m)])], b"hello")
    ok("ok-key-first", "two recipients, the first key at hand", two, b"hello", keys=[OTHER], opened_by=f"0001 {OTHER}")
    ok("ok-key-second", "two recipients, the second key at hand", two, b"hello", calls=1)
    ok(
        "ok-key-both",
        "two recipients, both keys at hand: the first stanza opens",
        two,
        b"hello",
        keys=[KEY, OTHER],
        opened_by=f"0001 {OTHER}",
        calls=1,
    )
    m = material("odd id")
    name = "a/b@c_d.e-F9"
    ok(
        "ok-key-id-characters",
        "all characters that an id may have",
        w.message(m, [Slot([kwp(m, name)])], b"hello"),
        b"hello",
        keys=[name],
        opened_by=f"0001 {name}",
    )


def slots():
    m = material("slots")

    def two(name, comment, a, b, layout="rewrappable", **fields):
        ok(f"ok-slots-{name}", comment, w.message(m, [a, b], b"hello", Geometry(layout)), b"hello", **fields)

    old, new = Slot([kwp(m)]), Slot([kwp(m, OTHER), kwp(m)], generation=2)
    two("b-empty", "as a new header is", old, None)
    two("a-empty", "after a rewrap: slot B filled, slot A zero", None, new, generation=2, opened_by=f"0001 {KEY}")
    two("unfinished", "both valid: the newer is the header", old, new, generation=2, unfinished=True)
    two("unfinished-reversed", "both valid, the newer one in slot A", new, old, generation=2, unfinished=True)
    two(
        "old-key-only",
        "the key at hand is in the older slot only; the newer one is the header all the same",
        old,
        Slot([kwp(m, OTHER)], generation=2),
        generation=2,
        unfinished=True,
    )
    two("identical", "two identical slots are an unfinished rewrap", old, old, unfinished=True)
    two("largest-generation", "generation 2^32 - 1", None, Slot([kwp(m)], generation=2**32 - 1), generation=2**32 - 1)
    two(
        "wrong-mac-newer",
        "the newer slot's MAC is wrong: the older one is the header",
        old,
        Slot([kwp(m)], generation=2, mac=bytes(32)),
        degraded=True,
    )
    two(
        "wrong-mac-newer-opens",
        "the data key comes from a slot whose MAC is wrong; the header is the other one",
        Slot([kwp(m, OTHER)]),
        Slot([kwp(m)], generation=2, mac=bytes(32)),
        degraded=True,
    )
    two(
        "equal-generation-one-valid",
        "equal generations, one MAC wrong",
        old,
        Slot([kwp(m)], mac=b"\1" * 32),
        degraded=True,
    )
    two("torn", "slot B half written", old, w.u32(2) + b"\1" * 400, degraded=True)
    two(
        "garbage-of-our-id",
        "32 stanzas of our id, all garbage, in the newer slot: four are tried, then the good slot",
        old,
        Slot([w.stanza(w.KWP, KEY.encode(), b"", bytes(40))] * 32, generation=2, mac=bytes(32)),
        degraded=True,
        calls=5,
    )
    two("min-generation", "the least generation that the caller accepts", None, new, generation=2, min_generation=2)


def geometry():
    m = material("geometry")
    for name, comment, g in (
        ("padding", "compact but for 31 bytes of padding", Geometry(pad_len=31)),
        ("roomy-slot", "a slot longer than its stanzas need", Geometry(slot_len=4096)),
        ("two-short-slots", "two slots of 128 bytes", Geometry("rewrappable", slot_len=128, pad_len=0)),
        ("odd-rewrappable", "two slots, H no multiple of 4096", Geometry("rewrappable", slot_len=1008, pad_len=1)),
    ):
        ok(f"ok-geometry-{name}", comment, w.message(m, [Slot([kwp(m)])], b"hello", g), b"hello")
    head = w.header(m, [Slot([kwp(m)])], Geometry("rewrappable", flags=1))
    ok(
        "ok-geometry-detached-rewrappable",
        "a detached header with two slots",
        head + m.body(b"hello"),
        b"hello",
        detached_header=len(head),
    )
    full = full_context()
    big = material("largest header", full)
    data = w.message(big, [Slot([kwp(big)])], b"hello", Geometry("rewrappable", slot_len=131_072, pad_len=31))
    assert len(data) == 278_591 + 72 + 5
    ok("ok-geometry-largest", "the longest header there is", data, b"hello", context=full)
    crowded = [w.stanza(w.KWP, b"id-%02d" % i + b"x" * 90, b"", bytes(40)) for i in range(20)]
    ok(
        "ok-geometry-rewrappable-8192",
        "stanzas that need a rewrappable header of 8192 bytes",
        w.message(m, [Slot([*crowded, kwp(m)])], b"hello", Geometry("rewrappable")),
        b"hello",
    )
    stored = material("rewrappable context", {b"backup": b"nightly", b"host": b"db-1"})
    data = w.message(stored, [Slot([kwp(stored)])], b"hello", Geometry("rewrappable"))
    assert len(data) == 4096 + 77
    ok(
        "ok-geometry-rewrappable-context",
        "stored pairs change pad_len, not H",
        data,
        b"hello",
        context=stored.stored,
        max_header_len=4096,
    )


def make():
    sizes_and_layouts()
    contexts()
    stanzas()
    tries()
    slots()
    geometry()
