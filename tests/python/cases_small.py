"""Key envelopes, records, key files, contexts."""
import base64
import hashlib

import kuvert_writer as w
from cases import KEY, KEYS, OTHER, add, full_context, key_line, kwp, material, plain
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
    add(name, comment, data, kind="envelope", role=role, claimed_reference=f"{reference:016x}",
        record_key_sha256=hashlib.sha256(m.record_key).hexdigest() if role == "record" else None, **fields)


def refused(name, comment, data, category="malformed", before_key=True, role="record", **fields):
    add(name, comment, data, kind="envelope", expect=category, before_key=before_key, role=role, **fields)


def envelopes():
    m = made()
    whole = sealed(m)
    opens("ok-envelope-record", "the plain case", m, whole)
    add("ok-envelope-reference-presented", "the reader presents the reference it knows", whole, kind="envelope", role="record",
        reference=f"{REFERENCE:016x}", claimed_reference=f"{REFERENCE:016x}",
        record_key_sha256=hashlib.sha256(m.record_key).hexdigest())
    for role in ("root", "epoch"):
        other = made(role, role)
        opens(f"ok-envelope-{role}", "another role", other, sealed(other), role=role)
        refused(f"h085-{role}-as-record", "another role than the reader expects", sealed(other), "wrong-context")
        refused(f"h085-record-as-{role}", "another role than the reader expects", whole, "wrong-context", role=role)
        refused(f"envelope-accept-stored-{role}", "accepting the stored context does not cover the role", sealed(other),
                "wrong-context", accept_stored=True)
    context = made("context", stored={b"table": b"users"}, required={b"tenant": b"acme"})
    both = {b"table": b"users", b"tenant": b"acme"}
    opens("ok-envelope-context", "pairs of the caller beside the two of our own", context, sealed(context), context=both)
    opens("ok-envelope-accept-stored", "the reference and the caller's stored pairs need not be presented", context,
          sealed(context), context={b"tenant": b"acme"}, accept_stored=True)
    refused("envelope-stored-not-presented", "a stored pair not presented", sealed(context), "wrong-context",
            context={b"tenant": b"acme"})
    refused("envelope-required-missing", "a required pair missing", sealed(context), "wrong-context", before_key=False,
            context={b"table": b"users"})
    refused("envelope-role-presented-by-caller", "a reserved name presented by the caller", whole, "usage",
            context={b"kuvert:role": b"record"})
    many = made("62 pairs", stored={b"name-%02d" % i: b"v" for i in range(62)})
    opens("ok-envelope-62-pairs", "62 pairs and the two of our own are 64", many, sealed(many),
          context={b"name-%02d" % i: b"v" for i in range(62)})
    low = made("low", reference=1)
    opens("ok-envelope-reference-1", "leading zeros of the reference", low, sealed(low), reference=1)
    high = made("high", reference=2**64 - 1)
    opens("ok-envelope-reference-ff", "the largest reference", high, sealed(high), reference=2**64 - 1)
    refused("h085-other-reference", "another envelope than the one the reader wants", whole, "wrong-context",
            reference=f"{REFERENCE ^ 1:016x}")
    two = w.message(m, [Slot([kwp(m)]), None], b"", Geometry("rewrappable"))
    opens("ok-envelope-rewrappable", "readers take every geometry", m, two)


def envelope_pairs():
    def pairs(name, comment, role=b"record", reference=b"%016x" % REFERENCE, more=None, required=None, category="malformed",
              context=None):
        stored = {**({} if role is None else {b"kuvert:role": role}),
                  **({} if reference is None else {b"kuvert:reference": reference}), **(more or {})}
        draw = w.Draw("envelope pairs")
        m = w.Material(draw.take(32), draw.take(24), stored, required or {}, kind=2)
        refused(f"envelope-{name}", comment, sealed(m), category, context=context)

    pairs("no-role", "kuvert:role is missing", role=None)
    pairs("no-reference", "kuvert:reference is missing", reference=None)
    pairs("no-pairs", "both are missing", role=None, reference=None)
    pairs("reference-required", "the reference is bound and not stored", reference=None,
          required={b"kuvert:reference": b"%016x" % REFERENCE})
    for role in (b"", b"Record", b"record ", b"stream"):
        pairs(f"role-{role.decode().replace(' ', '_') or 'empty'}", "a role that does not exist", role=role)
    for name, reference in (("upper", b"0123456789ABCDEF"), ("15", b"123456789abcdef"), ("17", b"00123456789abcdef"),
                            ("zero", b"0" * 16), ("prefix", b"0x23456789abcdef"), ("empty", b""), ("other", b"0123456789abcdeg"),
                            ("sign", b"+123456789abcdef")):
        pairs(f"reference-{name}", "not 16 lower-case hexadecimal digits, or zero", reference=reference)
    pairs("third-name", "another name of our own", more={b"kuvert:epoch": b"1"})
    pairs("aws-name", "a reserved name", more={b"aws-crypto-public-key": b"x"})
    pairs("ill-formed-before-other-role", "two faults: an ill-formed reference, another role", role=b"root", reference=b"0")
    pairs("65-pairs", "63 pairs and the two of our own", more={b"name-%02d" % i: b"v" for i in range(63)},
          category="limit-exceeded")


def envelope_faults():
    m = made()
    whole = sealed(m)
    for length in (1, 16, len(whole)):
        refused(f"h015-{length}-trailing", "bytes after a key envelope", whole + bytes(length))
    full = made("full")
    refused("h015-not-empty", "a body that is not that of an empty plaintext",
            w.message(full, [Slot([kwp(full)])], b"hello"))
    for length in (0, 55, 56, 71):
        refused(f"envelope-body-{length}", "less than an empty body", whole[:len(whole) - 72 + length], "truncated")
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
    crossed = w.header(m, [Slot([kwp(m)])]) + as_message.body(b"")
    refused("envelope-body-of-message", "the empty body of a message of the same data key and salt: CORE is another",
            crossed, "wrong-context", before_key=False)


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
    opens("h063-envelope-rsa-beside-good", "such a recipient makes its slot bad; the other slot is good", m,
          w.message(m, [bad, Slot([kwp(m)])], b"", Geometry("rewrappable")), degraded=True)
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


CELL = (b"customers", b"email", b"42")


def record_case(name, comment, data, expect="ok", plaintext=None, parts=CELL, envelope=None, **fields):
    envelope = envelope or made()
    lines = []
    for part in parts:
        text = all(0x20 <= byte < 0x7F for byte in part) and part.strip() == part
        lines.append(("part", part.decode()) if text else ("part-hex", part.hex()))
    extra = {}
    if plaintext is not None:
        extra = {"plaintext_len": len(plaintext), "plaintext_sha256": hashlib.sha256(plaintext).hexdigest()}
    add(name, comment, data, kind="record", expect=expect, envelope=sealed(envelope).hex(),
        lines=lines, **extra, **fields)


def records():
    m = made()

    def seal(seed, plaintext, parts=CELL, reference=REFERENCE, key=None, **other):
        return w.record(key or m.record_key, reference, w.Draw(f"nonce {seed}").take(24), plaintext, parts, **other)

    for size in (0, 1, 15, 16, 17, 64, 1024, 16_384):
        record_case(f"ok-record-{size}", f"{size} bytes of plaintext", seal(size, plain(size)), plaintext=plain(size))
    for name, parts in (("empty-parts", (b"", b"", b"")), ("unicode", ("kunder".encode(), "e‑post".encode(), "åäö".encode())),
                        ("binary-row", (b"customers", b"email", bytes(range(16)))), ("long-row", (b"t", b"c", b"r" * 3000)),
                        ("224-bytes", (b"t", b"c", b"r" * 214))):
        record_case(f"ok-record-{name}", "parts of the record's context", seal(name, b"anna@example.se", parts),
                    plaintext=b"anna@example.se", parts=parts)
    msb = set()
    for i in range(64):
        other = made(f"xaes {i}")
        bit = first_bit(other.record_key)
        if bit not in msb:
            msb.add(bit)
            record_case(f"ok-record-xaes-msb-{bit}", "a key whose L in XAES begins with this bit",
                        seal(i, b"anna@example.se", key=other.record_key), plaintext=b"anna@example.se", envelope=other)
    assert msb == {0, 1}
    record_case("ok-record-limit-exact", "as long as this reader allows", seal("limit", plain(100)), plaintext=plain(100),
                max_record_len=100)
    whole = seal("whole", b"anna@example.se")

    def no(name, comment, data, category, **fields):
        record_case(name, comment, data, expect=category, **fields)

    no("h071-empty", "no bytes", b"", "truncated")
    for length in (1, 9, 33, 48):
        no(f"h071-first-{length}", "F8 and fewer than 49 bytes", whole[:length], "truncated")
    for name, data in (("text", b"anna@example.se"), ("long-text", b"a" * 100), ("zero", b"\0" + whole[1:]),
                       ("utf-8", "öl".encode()), ("f7", b"\xf7" + whole[1:]), ("80", b"\x80"), ("c2", b"\xc2\xa9"),
                       ("message-magic", w.MAGIC + bytes(100)), ("one-byte", b"f")):
        no(f"h072-not-sealed-{name}", "not sealed at all", data, "malformed")
    for first in (0xF9, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF, 0xC0, 0xC1):
        no(f"h072-reserved-{first:02x}", "a first byte that is kept for later", bytes([first]) + whole[1:], "unsupported")
    no("h072-reserved-short", "a reserved first byte, and too short", b"\xf9", "unsupported")
    no("h074-other-reference", "a key that is not loaded", seal("ref", b"x", reference=REFERENCE + 1), "key-unavailable")
    no("h074-reference-0", "reference 0", seal("ref", b"x", reference=0), "key-unavailable")
    other = made("other key")
    no("h075-other-key-same-reference", "sealed under another key of the same reference",
       seal("o", b"anna@example.se", key=other.record_key), "tampered")
    for at in (1, 8):
        no(f"h076-reference-byte-{at}", "a bit of the reference", flip(whole, at), "key-unavailable")
    for at in (9, 20, 21, 32):
        no(f"h076-nonce-byte-{at}", "a bit of the nonce", flip(whole, at), "tampered")
    for at, what in ((33, "ciphertext-first"), (47, "ciphertext-last"), (48, "tag-first"), (-1, "tag-last")):
        no(f"h077-{what}", "a bit of ciphertext or tag", flip(whole, at), "tampered")
    for name, parts in (("row", (CELL[0], CELL[1], b"43")), ("column", (CELL[0], b"phone", CELL[2])),
                        ("table", (b"suppliers", CELL[1], CELL[2])), ("swapped", (CELL[1], CELL[0], CELL[2])),
                        ("case", (b"Customers", CELL[1], CELL[2]))):
        no(f"h078-other-{name}", "moved to another cell", whole, "tampered", parts=parts)
    for name, parts in (("ab-c", (b"customerse", b"mail", b"42")), ("empty", (b"customers", b"email42", b"")),
                        ("all-in-one", (b"customersemail42", b"", b""))):
        no(f"h079-split-{name}", "the same bytes, split elsewhere", whole, "tampered", parts=parts)
    no("h079-two-parts", "sealed for two parts, opened with three", seal("2", b"x", (b"customers", b"email")), "tampered",
       parts=(b"customers", b"email", b""))
    no("h079-no-parts", "sealed without context, opened with three empty parts", seal("0", b"x", ()), "tampered",
       parts=(b"", b"", b""))
    for cut in (1, 8, 15):
        no(f"h080-cut-{cut}", "the end is missing", whole[:-cut], "tampered")
    no("h080-cut-16", "cut to 48 bytes", whole[:48], "truncated")
    for length in (1, 16):
        no(f"h081-{length}-appended", "bytes after the record", whole + bytes(length), "tampered")
    no("h081-two-records", "two records in one", whole + whole, "tampered")
    no("h082-above-limit", "one byte more than this reader allows", seal("limit", plain(101)), "limit-exceeded",
       max_record_len=100)
    no("h082-limit-before-key", "two faults: the limit, then a reference that is not loaded",
       seal("limit", plain(101), reference=5), "limit-exceeded", max_record_len=100)
    no("record-unlabelled-aad", "the associated data lacks the label", b"\xf8" + w.u64(REFERENCE) + bytes(24) + w.xaes_seal(
        m.record_key, bytes(24), b"x", b"\xf8" + w.u64(REFERENCE) + w.record_context(CELL)), "tampered")
    no("record-under-dek", "sealed under the data key itself", seal("dek", b"x", key=m.dek), "tampered")
    no("record-under-child-key", "sealed under K_child", seal("child", b"x", key=m.child_key), "tampered")
    no("record-envelope-context", "the envelope is opened under another context", whole, "wrong-context",
       context={b"tenant": b"acme"})


def first_bit(key):
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(bytes(16))[0] >> 7


def key_files():
    def file(name, comment, text, ids=None):
        data = text if isinstance(text, bytes) else text.encode()
        add(f"key-file-{name}", comment, data, kind="key-file", expect="usage" if ids is None else "ok", keys=(),
            key_id=ids or [])

    one, two = key_line(KEY), key_line(OTHER)
    file("one", "one entry", one + "\n", [KEY])
    file("two", "two entries: the first one seals", f"{two}\n{one}\n", [OTHER, KEY])
    file("no-last-newline", "the last line's end is missing", one, [KEY])
    file("crlf", "lines that end with CR LF", f"# keys\r\n\r\n{one}\r\n{two}\r\n", [KEY, OTHER])
    file("mixed-ends", "both sorts of line ends", f"{one}\r\n{two}\n", [KEY, OTHER])
    file("comments", "comments and empty lines", f"#\n# kuvert key file\n\n{one}\n#end", [KEY])
    file("comment-unicode", "a comment in UTF-8", f"# nyckel för säkerhetskopior 🔑\n{one}\n", [KEY])
    file("comment-of-entry", "an entry that is commented out", f"#{two}\n{one}\n", [KEY])
    for name, key_id in (("shortest", "a"), ("longest", "x" * 256), ("all-characters", "AZaz09._/@-"), ("like-a-path", "/etc/../k")):
        file(f"id-{name}", "an id", w.key_line(key_id, KEYS[KEY]) + "\n", [key_id])
    file("same-key-two-ids", "one key under two ids", f"{one}\n{w.key_line('again', KEYS[KEY])}\n", [KEY, "again"])
    raw, check = KEYS[KEY], hashlib.sha256(b"kuvert-key-v1" + KEY.encode() + KEYS[KEY]).digest()[:4]

    def entry(key_id=KEY, data=None, prefix="kuvert-key-v1"):
        return f"{prefix}:{key_id}:" + (base64.b64encode(raw + check).decode() if data is None else data)

    encoded = base64.b64encode(raw + check).decode()
    urlsafe = next(w.key_line("url", w.Draw(f"url {i}").take(32)) for i in range(99)
                   if "/" in w.key_line("url", w.Draw(f"url {i}").take(32)).split(":")[2])
    typo = encoded[:20] + ("A" if encoded[20] != "A" else "B") + encoded[21:]
    for name, comment, text in (
        ("empty", "no bytes", ""), ("only-comments", "no entry", "# nothing\n\n"), ("only-newlines", "no entry", "\n\n\n"),
        ("typo", "one character mistyped: the check bytes tell", entry(data=typo)),
        ("check-zero", "check bytes of zero", w.key_line(KEY, raw, bytes(4))),
        ("check-of-other-id", "the check bytes cover the id", one.replace(KEY, "backup-2027")),
        ("duplicate", "one entry twice", f"{one}\n{one}\n"),
        ("duplicate-id", "one id with two keys", f"{one}\n{w.key_line(KEY, KEYS[OTHER])}\n"),
        ("id-empty", "an id of no characters", w.key_line("", raw)), ("id-257", "an id too long", w.key_line("x" * 257, raw)),
        ("id-blank", "a blank in the id", w.key_line("a b", raw)), ("id-colon", "a colon in the id", w.key_line("a:b", raw)),
        ("id-umlaut", "a letter that is not ASCII", w.key_line("schlüssel", raw)), ("id-plus", "a plus", w.key_line("a+b", raw)),
        ("version-2", "another version", entry(prefix="kuvert-key-v2")), ("no-version", "no version", entry(prefix="kuvert-key")),
        ("upper-case-prefix", "another case", entry(prefix="KUVERT-KEY-V1")),
        ("blank-before", "a blank before the entry", " " + one), ("blank-after", "a blank after the entry", one + " \n"),
        ("tab-after", "a tab after the entry", one + "\t\n"), ("blank-line", "a line of one blank", f" \n{one}\n"),
        ("comment-indented", "a comment not in column one", f" # x\n{one}\n"),
        ("comment-after-entry", "a comment after the entry", f"{one} # mine\n"),
        ("bom", "a byte order mark", b"\xef\xbb\xbf" + one.encode()), ("utf-16", "UTF-16", one.encode("utf-16")),
        ("latin-1-comment", "a comment that is not UTF-8", b"# schl\xfcssel\n" + one.encode()),
        ("cr-only", "CR alone ends no line", f"{one}\r{two}\r"), ("cr-at-end", "a CR without LF at the end", one + "\r"),
        ("cr-in-comment", "a CR within a comment", f"# a\rb\n{one}\n"), ("nul-at-end", "a NUL after the entry", one + "\0\n"),
        ("47-characters", "one character less", entry(data=encoded[:-1])),
        ("49-characters", "one character more", entry(data=encoded + "A")),
        ("padding", "padding characters", entry(data=encoded[:46] + "==")),
        ("urlsafe", "the other base64 alphabet", urlsafe.replace("/", "_").replace("+", "-")),
        ("hex", "hexadecimal", entry(data=(raw + check).hex())), ("no-data", "no key", f"kuvert-key-v1:{KEY}:\n"),
        ("no-id", "a field is missing", f"kuvert-key-v1:{encoded}\n"), ("extra-field", "a field too many", one + ":x\n"),
        ("second-line-bad", "a good entry does not save a bad one", f"{one}\nrubbish\n"),
        ("age", "another program's key file", "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ\n"),
    ):
        file(f"bad-{name}", comment, text)


def contexts():
    def case(name, comment, pairs, category=None):
        data = b"" if category else w.context_bytes(dict(pairs))
        add(f"context-{name}", comment, data, kind="context", expect=category or "ok", keys=(), context=pairs)

    case("empty", "no pairs are no bytes", [])
    case("two", "given in another order than that of S", [(b"table", b"users"), (b"id", b"42")])
    case("order", "sorted as bytes", [("é".encode(), b"1"), (b"z", b"2"), (b"Z", b"3"), (b"aa", b"4"), (b"a", b"5")])
    case("empty-value", "a value of no bytes", [(b"a", b"")])
    case("longest-name", "255 bytes", [("é".encode() * 127 + b"x", b"v")])
    case("longest-value", "4096 bytes", [(b"n", b"v" * 4096)])
    case("64-pairs", "the largest count", [(b"%d" % i, b"v") for i in range(64)])
    full = list(full_context().items())
    case("16384-bytes", "the longest serialisation", full)
    case("duplicate", "one name twice", [(b"a", b"1"), (b"a", b"2")], "usage")
    case("duplicate-equal", "one pair twice", [(b"a", b"1"), (b"a", b"1")], "usage")
    case("empty-name", "a name of no bytes", [(b"", b"v")], "usage")
    for name in (b"kuvert:role", b"kuvert:", b"kuvert:whatever", b"aws-crypto-", b"aws-crypto-public-key"):
        case(f"reserved-{name.decode().replace(':', '_')}", "a reserved name", [(name, b"v")], "usage")
    case("65-pairs", "one pair too many", [(b"%d" % i, b"v") for i in range(65)], "limit-exceeded")
    case("name-256", "a name one byte too long", [(b"n" * 256, b"v")], "limit-exceeded")
    case("value-4097", "a value one byte too long", [(b"n", b"v" * 4097)], "limit-exceeded")
    longer = full[:3] + [(b"a3", full[3][1] + b"v")]
    case("16385-bytes", "one byte too long in all", longer, "limit-exceeded")


def make():
    envelopes()
    envelope_pairs()
    envelope_faults()
    envelope_recipients()
    records()
    key_files()
    contexts()
