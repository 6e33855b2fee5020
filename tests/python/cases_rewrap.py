"""Rewraps: the message before, the change, and the hash of the message after, made anew with what it then has.

AES-KWP draws nothing at random, so there is exactly one right result, to the byte.
"""

import hashlib

import kuvert_writer as w
from cases import KEY, KEYS, OTHER, add, key_line, kwp, material, ok
from cases_envelopes import REFERENCE, made
from kuvert_writer import Geometry, Slot

THIRD = "nobody"


def pending(name):
    return w.stanza(w.PENDING, name.encode(), w.u16(w.KWP), b"\0")


def stranger(number, length=130):
    return w.stanza(0x8001, b"stranger %d" % number, b"", bytes([number + 1]) * length)


def change(name, comment, m, before, after, rewrap="to", new=OTHER, old=(KEY,), plaintext=b"hello", **fields):
    """The message of header `before` becomes that of header `after`; None: it is refused, with `rewrap_expect`."""
    body = m.body(plaintext)
    result = None if after is None else hashlib.sha256(after + body).hexdigest()
    fields.setdefault("generation", 1)
    ok(
        f"rewrap-{name}",
        comment,
        before + body,
        plaintext,
        keys=old,
        rewrap=rewrap,
        rewrap_key=None if rewrap.startswith("remove") else key_line(new),
        rewrapped_sha256=result,
        context={**m.stored, **m.required},
        **fields,
    )
    return None if after is None else after + body


def two_slots():
    m = material("rewrap", {b"backup": b"daily"}, {b"tenant": b"acme"})
    one, two, three = kwp(m), kwp(m, OTHER), kwp(m, THIRD)

    def head(a, b):
        return w.header(m, [a, b], Geometry("rewrappable"))

    def slot(*stanzas, generation=1, **other):
        return Slot(list(stanzas), generation=generation, **other)

    old, new = slot(one), slot(two, generation=2)
    done = head(None, new)
    after = change("in-place", "slot B under generation 2, slot A zeroed", m, head(old, None), done)
    body = m.body(b"hello")
    context = {b"backup": b"daily", b"tenant": b"acme"}
    ok(
        "rewrap-in-place-after",
        "what came of it, for the new key",
        after,
        b"hello",
        generation=2,
        opened_by=f"0001 {OTHER}",
        keys=[OTHER],
        context=context,
    )
    add("rewrap-in-place-shut-out", "the old key opens it no longer", after, expect="key-unavailable", context=context)
    change(
        "in-place-back",
        "the slots take turns: slot A under generation 3",
        m,
        done,
        head(slot(three, generation=3), None),
        new=THIRD,
        old=[OTHER],
        generation=2,
        opened_by=f"0001 {OTHER}",
    )
    by_other = {"generation": 2, "opened_by": f"0001 {OTHER}"}
    change("nothing-to-do", "the recipients are those asked for", m, done, done, old=[OTHER], **by_other)
    both = head(old, new)
    change(
        "unfinished",
        "stopped before the old slot was zeroed: it is zeroed, and nothing else",
        m,
        both,
        done,
        generation=2,
        unfinished=True,
    )
    change(
        "unfinished-onwards",
        "stopped half way, and now to a third key: the newer slot stays while the older one is written",
        m,
        both,
        head(slot(three, generation=3), None),
        new=THIRD,
        old=[KEY, OTHER],
        unfinished=True,
        **by_other,
    )
    change(
        "unfinished-older-key-only",
        "the key at hand is in the older slot: that one stays while the newer one is written",
        m,
        both,
        head(None, slot(three, generation=3)),
        new=THIRD,
        generation=2,
        unfinished=True,
    )
    change(
        "unfinished-identical",
        "two identical slots: the second one is zeroed",
        m,
        head(old, old),
        head(old, None),
        new=KEY,
        unfinished=True,
    )
    torn = slot(two, generation=2).body(2016)[:512]
    change("torn", "one sector of slot B was written: it is written again", m, head(old, torn), done, degraded=True)
    zeroing = bytes(480) + slot(one).body(2016)[480:] + bytes(31) + b"\1"
    change(
        "torn-zeroing",
        "slot A was half zeroed: it is zeroed",
        m,
        head(zeroing, new),
        done,
        old=[OTHER],
        degraded=True,
        **by_other,
    )
    change(
        "wrong-mac-opens",
        "the data key comes from a slot whose MAC is wrong: the valid one stays while that one is written",
        m,
        head(slot(two), slot(one, generation=9, mac=bytes(32))),
        head(None, slot(three, generation=2)),
        new=THIRD,
        degraded=True,
    )
    change(
        "largest-generation",
        "up to generation 2^32 - 1",
        m,
        head(slot(one, generation=2**32 - 2), None),
        head(None, slot(two, generation=2**32 - 1)),
        generation=2**32 - 2,
    )
    change(
        "past-the-largest-generation",
        "generation 2^32 - 1 is final",
        m,
        head(slot(one, generation=2**32 - 1), None),
        None,
        rewrap_expect="refused",
        generation=2**32 - 1,
    )
    assert done + body == after


def changes():
    m = material("rewrap changes")
    one, two, three = kwp(m), kwp(m, OTHER), kwp(m, THIRD)

    def head(a, b=None):
        return w.header(m, [a, b], Geometry("rewrappable"))

    def first(*stanzas):
        return head(Slot(list(stanzas)))

    def second(*stanzas):
        return head(None, Slot(list(stanzas), generation=2))

    kept = [stranger(0), one]
    change("add", "the new one is appended", m, first(*kept), second(*kept, two), rewrap="add")
    change("add-again", "it is there already", m, first(one, two), first(one, two), rewrap="add")
    change("add-on-a-subject", "it would outlive the subject's key", m, first(one, parent()), None, rewrap="add",
           rewrap_expect="refused")
    change("to-on-a-subject", "it would outlive the subject's key", m, first(one, parent()), None,
           rewrap_expect="refused")
    change("remove", "all wraps of that id, others byte for byte", m, first(two, stranger(1), one, two),
           second(stranger(1), one), rewrap=f"remove {OTHER}")
    change("remove-a-subject", "a parent key goes by its reference", m, first(parent(), one), second(one),
           rewrap="remove 0000000000000007")
    change("remove-pending", "a pending one can be removed", m, first(one, pending(OTHER)), second(one),
           rewrap=f"remove {OTHER}")
    change("remove-what-is-not-there", "a typing error is not success", m, first(one), None, rewrap=f"remove {OTHER}",
           rewrap_expect="refused")
    change("remove-the-last", "nobody could open it", m, first(one, pending(OTHER)), None, rewrap=f"remove {KEY}",
           rewrap_expect="refused")
    change("remove-the-only-checkable", "nobody here knows whether the other one opens", m, first(one, stranger(2)),
           None, rewrap=f"remove {KEY}", rewrap_expect="refused")
    half = head(Slot([one, two]), Slot([one], generation=2))
    change("remove-unfinished", "removed, but the older slot was not zeroed yet", m, half, second(one),
           rewrap=f"remove {OTHER}", generation=2, unfinished=True)
    waiting = [pending(THIRD), one, pending(OTHER)]
    change("repair", "in the place of the one that waited for it", m, first(*waiting), second(waiting[0], one, two),
           rewrap="repair")
    change("repair-not-waited-for", "a wrap that nobody waits for is not used", m, first(one, pending(THIRD)),
           first(one, pending(THIRD)), rewrap="repair")
    change("repair-nothing", "nothing is pending", m, first(one), first(one), rewrap="repair")


def parent():
    return w.stanza(w.PARENT, b"", w.u64(7), bytes(40))


def by_copy():
    m = material("rewrap by copy", {b"table": b"users"})
    one, two = kwp(m), kwp(m, OTHER)
    for layout in ("compact", "detached"):
        before = w.header(m, [Slot([one])], Geometry(layout))
        change(
            f"copy-{layout}",
            "one slot: a new header of the same kind, flags and context",
            m,
            before,
            w.header(m, [Slot([two], generation=2)], Geometry(layout)),
            detached_header=len(before) if layout == "detached" else None,
        )
    compact = Geometry("compact")
    change(
        "copy-compact-longer",
        "the header grows with its recipients",
        m,
        w.header(m, [Slot([one])], compact),
        w.header(m, [Slot([one, two], generation=2)], compact),
        rewrap="add",
    )
    rewrappable = Geometry("rewrappable")
    crowd = [stranger(n) for n in range(12)]
    change(
        "no-room",
        "no room in a slot: a longer header, slot A filled under generation 2",
        m,
        w.header(m, [Slot([one, *crowd, stranger(40, 30)])], rewrappable),
        w.header(m, [Slot([one, *crowd, stranger(40, 30), two], generation=2)], rewrappable),
        rewrap="add",
    )
    odd = Geometry(slot_len=512, slot_count=2, pad_len=7)
    change(
        "odd-geometry",
        "another writer's geometry stays as it is",
        m,
        w.header(m, [Slot([one]), None], odd),
        w.header(m, [None, Slot([two], generation=2)], odd),
    )


def envelopes():
    m = made("rewrap")
    before = w.message(m, [Slot([kwp(m)])], b"")
    after = w.message(m, [Slot([kwp(m, OTHER)], generation=2)], b"")
    add(
        "rewrap-envelope",
        "a key envelope is rewrapped by copy",
        before,
        kind="envelope",
        role="record",
        claimed_reference=f"{REFERENCE:016x}",
        record_key_sha256=hashlib.sha256(m.record_key).hexdigest(),
        rewrap="to",
        rewrap_key=key_line(OTHER),
        rewrapped_sha256=hashlib.sha256(after).hexdigest(),
    )


def make():
    assert THIRD in KEYS
    two_slots()
    changes()
    by_copy()
    envelopes()
