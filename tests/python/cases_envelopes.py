"""Key envelopes: those that open, their two pairs, their faults, and the recipients they must not have."""

import hashlib

import kuvert_writer as w
from cases import KEY, OTHER, add, kwp, material
from cases_ok import KWP_1, KWP_2, all_of
from cases_slots import flip, wrap
from kuvert_writer import Geometry, Slot

REFERENCE = 0x0123456789ABCDEF


def made(seed="envelope", role="record", stored=None, required=None, reference=REFERENCE, **other):
    draw = w.Draw(f"envelope {seed}")
    return w.envelope_material(draw.take(32), draw.take(24), role, reference, stored, required, **other)


def sealed(m, *stanzas, geometry=None):
    return w.message(m, [Slot([*stanzas, kwp(m)])], b"", geometry)


def opens(name, comment, m, data, role="record", reference=REFERENCE, **fields):
    add(
        name,
        comment,
        data,
        kind="envelope",
        role=role,
        claimed_reference=f"{reference:016x}",
        record_key_sha256=hashlib.sha256(m.record_key).hexdigest() if role == "record" else None,
        **fields,
    )


def refused(name, comment, data, category="malformed", before_key=True, role="record", **fields):
    add(name, comment, data, kind="envelope", expect=category, before_key=before_key, role=role, **fields)


def envelopes():
    m = made()
    whole = sealed(m)
    opens("ok-envelope-record", "the plain case", m, whole)
    add(
        "ok-envelope-reference-presented",
        "the reader presents the reference it knows",
        whole,
        kind="envelope",
        role="record",
        reference=f"{REFERENCE:016x}",
        claimed_reference=f"{REFERENCE:016x}",
        record_key_sha256=hashlib.sha256(m.record_key).hexdigest(),
    )
    for role in ("root", "epoch"):
        other = made(role, role)
        opens(f"ok-envelope-{role}", "another role", other, sealed(other), role=role)
        refused(f"h085-{role}-as-record", "another role than the reader expects", sealed(other), "wrong-context")
        refused(f"h085-record-as-{role}", "another role than the reader expects", whole, "wrong-context", role=role)
        refused(
            f"envelope-accept-stored-{role}",
            "accepting the stored context does not cover the role",
            sealed(other),
            "wrong-context",
            accept_stored=True,
        )
    context = made("context", stored={b"table": b"users"}, required={b"tenant": b"acme"})
    both = {b"table": b"users", b"tenant": b"acme"}
    opens(
        "ok-envelope-context", "pairs of the caller beside the two of our own", context, sealed(context), context=both
    )
    opens(
        "ok-envelope-accept-stored",
        "the reference and the caller's stored pairs need not be presented",
        context,
        sealed(context),
        context={b"tenant": b"acme"},
        accept_stored=True,
    )
    refused(
        "envelope-stored-not-presented",
        "a stored pair not presented",
        sealed(context),
        "wrong-context",
        context={b"tenant": b"acme"},
    )
    refused(
        "envelope-required-missing",
        "a required pair missing",
        sealed(context),
        "wrong-context",
        before_key=False,
        context={b"table": b"users"},
    )
    refused(
        "envelope-role-presented-by-caller",
        "a reserved name presented by the caller",
        whole,
        "usage",
        context={b"kuvert:role": b"record"},
    )
    many = made("62 pairs", stored={b"name-%02d" % i: b"v" for i in range(62)})
    opens(
        "ok-envelope-62-pairs",
        "62 pairs and the two of our own are 64",
        many,
        sealed(many),
        context={b"name-%02d" % i: b"v" for i in range(62)},
    )
    low = made("low", reference=1)
    opens("ok-envelope-reference-1", "leading zeros of the reference", low, sealed(low), reference=1)
    high = made("high", reference=2**64 - 1)
    opens("ok-envelope-reference-ff", "the largest reference", high, sealed(high), reference=2**64 - 1)
    refused(
        "h085-other-reference",
        "another envelope than the one the reader wants",
        whole,
        "wrong-context",
        reference=f"{REFERENCE ^ 1:016x}",
    )
    two = w.message(m, [Slot([kwp(m)]), None], b"", Geometry("rewrappable"))
    opens("ok-envelope-rewrappable", "readers take every geometry", m, two)


def envelope_pairs():
    def pairs(
        name,
        comment,
        role=b"record",
        reference=b"%016x" % REFERENCE,
        more=None,
        required=None,
        category="malformed",
        context=None,
    ):
        stored = {
            **({} if role is None else {b"kuvert:role": role}),
            **({} if reference is None else {b"kuvert:reference": reference}),
            **(more or {}),
        }
        draw = w.Draw("envelope pairs")
        m = w.Material(draw.take(32), draw.take(24), stored, required or {}, kind=2)
        refused(f"envelope-{name}", comment, sealed(m), category, context=context)

    pairs("no-role", "kuvert:role is missing", role=None)
    pairs("no-reference", "kuvert:reference is missing", reference=None)
    pairs("no-pairs", "both are missing", role=None, reference=None)
    pairs(
        "reference-required",
        "the reference is bound and not stored",
        reference=None,
        required={b"kuvert:reference": b"%016x" % REFERENCE},
    )
    for role in (b"", b"Record", b"record ", b"stream"):
        pairs(f"role-{role.decode().replace(' ', '_') or 'empty'}", "a role that does not exist", role=role)
    for name, reference in (
        ("upper", b"0123456789ABCDEF"),
        ("15", b"123456789abcdef"),
        ("17", b"00123456789abcdef"),
        ("zero", b"0" * 16),
        ("prefix", b"0x23456789abcdef"),
        ("empty", b""),
        ("other", b"0123456789abcdeg"),
        ("sign", b"+123456789abcdef"),
    ):
        pairs(f"reference-{name}", "not 16 lower-case hexadecimal digits, or zero", reference=reference)
    pairs("third-name", "another name of our own", more={b"kuvert:epoch": b"1"})
    pairs("aws-name", "a reserved name", more={b"aws-crypto-public-key": b"x"})
    pairs(
        "ill-formed-before-other-role",
        "two faults: an ill-formed reference, another role",
        role=b"root",
        reference=b"0",
    )
    pairs(
        "65-pairs",
        "63 pairs and the two of our own",
        more={b"name-%02d" % i: b"v" for i in range(63)},
        category="limit-exceeded",
    )


def envelope_faults():
    m = made()
    whole = sealed(m)
    for length in (1, 16, len(whole)):
        refused(f"h015-{length}-trailing", "bytes after a key envelope", whole + bytes(length))
    full = made("full")
    refused(
        "h015-not-empty",
        "a body that is not that of an empty plaintext",
        w.message(full, [Slot([kwp(full)])], b"hello"),
    )
    for length in (0, 55, 56, 71):
        refused(f"envelope-body-{length}", "less than an empty body", whole[: len(whole) - 72 + length], "truncated")
    refused("h006-message-to-envelope-opener", "a message", w.message(material("k"), [Slot([kwp(material("k"))])], b""))
    add("h006-envelope-to-message-opener", "a key envelope", whole, expect="malformed", before_key=True)
    refused("envelope-detached", "a key envelope is never detached", sealed(m, geometry=Geometry("detached")))
    refused("envelope-version-2", "a version of the future", sealed(made(version=2)), "unsupported")
    refused("envelope-suite-2", "a suite of the future", sealed(made(suite=2)), "unsupported")
    refused("envelope-tag", "a bit of the empty chunk's tag", flip(whole, -1), "tampered", before_key=False)
    refused("envelope-commitment", "a bit of the commitment", flip(whole, -17), "wrong-context", before_key=False)
    refused("envelope-salt", "a bit of the salt", flip(whole, -72), "wrong-context", before_key=False)
    refused("envelope-mac", "a bit of the MAC", flip(whole, -73), "tampered", before_key=False)
    refused("envelope-other-key", "no key of ours", whole, "key-unavailable", before_key=False, keys=[OTHER], calls=0)
    wrong = w.message(m, [Slot([w.stanza(w.KWP, KEY.encode(), b"", bytes(40))])], b"")
    refused("envelope-wrong-key", "our key's name, another key's wrap", wrong, "wrong-key", before_key=False, calls=1)
    as_message = w.Material(m.dek, m.salt, m.stored, kind=1)
    refused(
        "limit-envelope",
        "a header one byte longer than this reader allows",
        whole,
        "limit-exceeded",
        max_header_len=218,
    )
    refused(
        "first-envelope-limit-truncated",
        "two faults: the reader's limit, then the header's end",
        whole[:100],
        "limit-exceeded",
        max_header_len=218,
    )
    crossed = w.header(m, [Slot([kwp(m)])]) + as_message.body(b"")
    refused(
        "envelope-body-of-message",
        "the empty body of a message of the same data key and salt: CORE is another",
        crossed,
        "wrong-context",
        before_key=False,
    )


def envelope_recipients():
    m = made()
    arn = b"arn:aws:kms:eu-north-1:111122223333:key/1"
    rsa = [(kind, b"rsa", b"", 256) for kind in (w.RSA_SHA256, w.RSA_SHA1, w.KMS_RSA)]
    others = {
        "rsa-sha256": w.stanza(*rsa[0][:3], wrap(256)),
        "rsa-sha1": w.stanza(*rsa[1][:3], wrap(256)),
        "kms-rsa": w.stanza(*rsa[2][:3], wrap(256)),
        "parent": w.stanza(w.PARENT, b"", w.u64(1), wrap(40)),
        "all-of-rsa": all_of(m, *rsa),
        "pending-rsa-sha256": w.stanza(w.PENDING, b"k", w.u16(w.RSA_SHA256), b"\0"),
        "pending-rsa-sha1": w.stanza(w.PENDING, b"k", w.u16(w.RSA_SHA1), b"\0"),
        "pending-kms-rsa": w.stanza(w.PENDING, b"k", w.u16(w.KMS_RSA), b"\0"),
        "pending-parent": w.stanza(w.PENDING, b"", w.u16(w.PARENT) + w.u64(1), b"\0"),
    }
    for name, other in others.items():
        refused(f"h063-envelope-{name}", "a recipient that can wrap and not unwrap, or a parent", sealed(m, other))
    bad = Slot([kwp(m), others["rsa-sha256"]])
    opens(
        "h063-envelope-rsa-beside-good",
        "such a recipient makes its slot bad; the other slot is good",
        m,
        w.message(m, [bad, Slot([kwp(m)])], b"", Geometry("rewrappable")),
        degraded=True,
    )
    allowed = {
        "kwp": w.stanza(w.KWP, b"theirs", b"", wrap(40)),
        "hsm-gcm": w.stanza(w.HSM_GCM, b"hsm", b"", wrap(60)),
        "kms": w.stanza(w.KMS, arn, w.kms_params(b"app"), wrap(184)),
        "all-of-mixed": all_of(m, rsa[0], KWP_1, KWP_2),
        "all-of-unknown": all_of(m, rsa[0], (0x9000, b"x", b"", 9)),
        "pending-kms": w.stanza(w.PENDING, arn, w.u16(w.KMS) + b"\0", b"\0"),
        "unknown": w.stanza(0x9000, b"x", b"", b"y"),
    }
    for name, other in allowed.items():
        opens(f"ok-envelope-beside-{name}", "a recipient that a key envelope may have", m, sealed(m, other))


def make():
    envelopes()
    envelope_pairs()
    envelope_faults()
    envelope_recipients()
