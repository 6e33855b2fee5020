"""All-of recipients (section 15): shares of two keys or more, and who opens them."""

import kuvert_writer as w
from cases import KEY, KEYS, OTHER, after, kwp, material, ok, plain
from kuvert_writer import Geometry, Slot

THIRD = "a/b@c_d.e-F9"
BOTH = (KEY, OTHER)
BY_ALL = "0040 "


def shares_of(m, count=2):
    draw = w.Draw(f"shares {m.salt.hex()}")
    return [draw.take(32) for _ in range(count)]


def wrapped_share(name, share, under=None):
    return w.stanza(w.KWP, name.encode(), b"", w.wrap_key(KEYS[under or name], share))


def all_of(m, names=BOTH, shares=None, wraps=None, core=None, dek=None):
    """The stanza. `wraps` are the nested stanzas, where they are not those of `names`."""
    shares = shares or shares_of(m, len(names))
    wraps = wraps or [wrapped_share(name, share) for name, share in zip(names, shares)]
    makes = [lambda _, wrap=wrap: wrap for wrap in wraps]
    return w.stanza(w.ALL_OF, b"", b"", w.all_of_wrap(core or m.core, dek or m.dek, makes, shares))


def message(m, *stanzas, text=b"hello"):
    return w.message(m, [Slot(list(stanzas))], text)


def opens(name, comment, m, *stanzas, keys=(), members=BOTH, opened_by=BY_ALL, **fields):
    data = message(m, *stanzas)
    ok(f"ok-all-of-{name}", comment, data, b"hello", keys=keys, members=members, opened_by=opened_by, **fields)


def fails(name, comment, category, m, *stanzas, keys=(), members=BOTH, **fields):
    after(f"h046-all-of-{name}", comment, message(m, *stanzas), category, keys=keys, members=members, **fields)


def good():
    m = material("all-of opens")
    opens("two", "two keys, both there", m, all_of(m), calls=1)
    opens("members-reversed", "the members are a set", m, all_of(m), members=(OTHER, KEY))
    shares = shares_of(m)
    turned = [wrapped_share(name, share) for name, share in zip(BOTH, shares)][::-1]
    opens("shares-reversed", "and so are the shares", m, all_of(m, shares=shares, wraps=turned))
    opens("three", "three keys", m, all_of(m, (KEY, OTHER, THIRD)), members=(KEY, OTHER, THIRD))
    opens(
        "beside-ours",
        "a key may be a member and stand alone as well: the first stanza that fits opens",
        m,
        all_of(m),
        kwp(m),
        keys=(KEY,),
        calls=1,
    )
    opens(
        "behind-ours",
        "the same, the other way round",
        m,
        kwp(m),
        all_of(m),
        keys=(KEY,),
        opened_by=f"0001 {KEY}",
        calls=1,
    )
    opens(
        "after-a-damaged-one",
        "an all-of is one call, whatever becomes of it",
        m,
        all_of(m, wraps=[wrapped_share(KEY, shares[1]), wrapped_share(OTHER, shares[1])]),
        all_of(m),
        calls=2,
    )
    text = plain(20_000)
    data = w.message(m, [Slot([all_of(m)]), None], text, Geometry("rewrappable"))
    ok("ok-all-of-rewrappable", "two chunks", data, text, keys=(), members=BOTH, opened_by=BY_ALL)


def bad():
    m = material("all-of fails")
    other = material("all-of of another message")
    mine, theirs = shares_of(m), shares_of(other)
    fails("third-key", "two of three members", "key-unavailable", m, all_of(m, (KEY, OTHER, THIRD)), calls=0)
    fails("one-less", "three members for two shares", "key-unavailable", m, all_of(m), members=(*BOTH, THIRD), calls=0)
    fails("another-key", "one of the keys is another", "key-unavailable", m, all_of(m), members=(KEY, THIRD), calls=0)
    fails("alone", "a member alone", "key-unavailable", m, all_of(m), keys=(KEY,), members=(), calls=0)
    fails("both-alone", "both keys, each alone", "key-unavailable", m, all_of(m), keys=BOTH, members=(), calls=0)
    fails(
        "members-alone",
        "a member's own stanza is not for the all-of",
        "key-unavailable",
        m,
        kwp(m),
        kwp(m, OTHER),
        calls=0,
    )
    unknown = w.stanza(0x9000, OTHER.encode(), b"", b"x")
    fails(
        "unknown-share",
        "a share of an unknown type, of a name that is ours",
        "key-unavailable",
        m,
        all_of(m, wraps=[wrapped_share(KEY, mine[0]), unknown]),
        calls=0,
    )
    fails(
        "share-of-another-message",
        "a share of another message",
        "wrong-key",
        m,
        all_of(m, wraps=[wrapped_share(KEY, mine[0]), wrapped_share(OTHER, theirs[1])]),
        calls=1,
    )
    fails(
        "share-twice",
        "one share for both",
        "wrong-key",
        m,
        all_of(m, wraps=[wrapped_share(KEY, mine[0]), wrapped_share(OTHER, mine[0])]),
        calls=1,
    )
    fails(
        "share-under-another-key",
        "a share wrapped under another key of our name",
        "wrong-key",
        m,
        all_of(m, wraps=[wrapped_share(KEY, mine[0]), wrapped_share(OTHER, mine[1], under="nobody")]),
        calls=1,
    )
    fails("another-core", "made for a key envelope", "wrong-key", m, all_of(m, core=m.core[:9] + b"\2" + m.core[10:]), calls=1)
    fails("another-data-key", "the data key of another message", "wrong-context", m, all_of(m, dek=other.dek), calls=1)
    short = [w.stanza(w.KWP, name.encode(), b"", w.wrap_key(KEYS[name], share[:31])) for name, share in zip(BOTH, mine)]
    fails("short-share", "shares of 31 bytes: never padded", "wrong-key", m, all_of(m, wraps=short), calls=1)


def make():
    good()
    bad()
