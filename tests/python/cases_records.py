"""Records: those that open, and everything that may be done to one."""

import hashlib

import kuvert_writer as w
from cases import add, plain
from cases_envelopes import REFERENCE, made, sealed
from cases_slots import flip
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

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
    add(
        name,
        comment,
        data,
        kind="record",
        expect=expect,
        envelope=sealed(envelope).hex(),
        lines=lines,
        **extra,
        **fields,
    )


def records():
    m = made()

    def seal(seed, plaintext, parts=CELL, reference=REFERENCE, key=None, **other):
        return w.record(key or m.record_key, reference, w.Draw(f"nonce {seed}").take(24), plaintext, parts, **other)

    for size in (0, 1, 15, 16, 17, 64, 1024, 16_384):
        record_case(f"ok-record-{size}", f"{size} bytes of plaintext", seal(size, plain(size)), plaintext=plain(size))
    for name, parts in (
        ("empty-parts", (b"", b"", b"")),
        ("unicode", ("kunder".encode(), "e‑post".encode(), "åäö".encode())),
        ("binary-row", (b"customers", b"email", bytes(range(16)))),
        ("long-row", (b"t", b"c", b"r" * 3000)),
        ("224-bytes", (b"t", b"c", b"r" * 214)),
    ):
        record_case(
            f"ok-record-{name}",
            "parts of the record's context",
            seal(name, b"anna@example.se", parts),
            plaintext=b"anna@example.se",
            parts=parts,
        )
    msb = set()
    for i in range(64):
        other = made(f"xaes {i}")
        bit = first_bit(other.record_key)
        if bit not in msb:
            msb.add(bit)
            record_case(
                f"ok-record-xaes-msb-{bit}",
                "a key whose L in XAES begins with this bit",
                seal(i, b"anna@example.se", key=other.record_key),
                plaintext=b"anna@example.se",
                envelope=other,
            )
    assert msb == {0, 1}
    record_case(
        "ok-record-limit-exact",
        "as long as this reader allows",
        seal("limit", plain(100)),
        plaintext=plain(100),
        max_record_len=100,
    )
    whole = seal("whole", b"anna@example.se")

    def no(name, comment, data, category, **fields):
        record_case(name, comment, data, expect=category, **fields)

    no("h071-empty", "no bytes", b"", "truncated")
    for length in (1, 9, 33, 48):
        no(f"h071-first-{length}", "F8 and fewer than 49 bytes", whole[:length], "truncated")
    for name, data in (
        ("text", b"anna@example.se"),
        ("long-text", b"a" * 100),
        ("zero", b"\0" + whole[1:]),
        ("utf-8", "öl".encode()),
        ("f7", b"\xf7" + whole[1:]),
        ("80", b"\x80"),
        ("c2", b"\xc2\xa9"),
        ("message-magic", w.MAGIC + bytes(100)),
        ("one-byte", b"f"),
    ):
        no(f"h072-not-sealed-{name}", "not sealed at all", data, "malformed")
    for first in (0xF9, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF, 0xC0, 0xC1):
        no(
            f"h072-reserved-{first:02x}",
            "a first byte that is kept for later",
            bytes([first]) + whole[1:],
            "unsupported",
        )
    no("h072-reserved-short", "a reserved first byte, and too short", b"\xf9", "unsupported")
    no(
        "h074-other-reference",
        "a key that is not loaded",
        seal("ref", b"x", reference=REFERENCE + 1),
        "key-unavailable",
    )
    no("h074-reference-0", "reference 0", seal("ref", b"x", reference=0), "key-unavailable")
    other = made("other key")
    no(
        "h075-other-key-same-reference",
        "sealed under another key of the same reference",
        seal("o", b"anna@example.se", key=other.record_key),
        "tampered",
    )
    for at in (1, 8):
        no(f"h076-reference-byte-{at}", "a bit of the reference", flip(whole, at), "key-unavailable")
    for at in (9, 20, 21, 32):
        no(f"h076-nonce-byte-{at}", "a bit of the nonce", flip(whole, at), "tampered")
    for at, what in ((33, "ciphertext-first"), (47, "ciphertext-last"), (48, "tag-first"), (-1, "tag-last")):
        no(f"h077-{what}", "a bit of ciphertext or tag", flip(whole, at), "tampered")
    for name, parts in (
        ("row", (CELL[0], CELL[1], b"43")),
        ("column", (CELL[0], b"phone", CELL[2])),
        ("table", (b"suppliers", CELL[1], CELL[2])),
        ("swapped", (CELL[1], CELL[0], CELL[2])),
        ("case", (b"Customers", CELL[1], CELL[2])),
    ):
        no(f"h078-other-{name}", "moved to another cell", whole, "tampered", parts=parts)
    for name, parts in (
        ("ab-c", (b"customerse", b"mail", b"42")),
        ("empty", (b"customers", b"email42", b"")),
        ("all-in-one", (b"customersemail42", b"", b"")),
    ):
        no(f"h079-split-{name}", "the same bytes, split elsewhere", whole, "tampered", parts=parts)
    no(
        "h079-two-parts",
        "sealed for two parts, opened with three",
        seal("2", b"x", (b"customers", b"email")),
        "tampered",
        parts=(b"customers", b"email", b""),
    )
    no(
        "h079-no-parts",
        "sealed without context, opened with three empty parts",
        seal("0", b"x", ()),
        "tampered",
        parts=(b"", b"", b""),
    )
    for cut in (1, 8, 15):
        no(f"h080-cut-{cut}", "the end is missing", whole[:-cut], "tampered")
    no("h080-cut-16", "cut to 48 bytes", whole[:48], "truncated")
    for length in (1, 16):
        no(f"h081-{length}-appended", "bytes after the record", whole + bytes(length), "tampered")
    no("h081-two-records", "two records in one", whole + whole, "tampered")
    no(
        "h082-above-limit",
        "one byte more than this reader allows",
        seal("limit", plain(101)),
        "limit-exceeded",
        max_record_len=100,
    )
    no(
        "h082-limit-before-key",
        "two faults: the limit, then a reference that is not loaded",
        seal("limit", plain(101), reference=5),
        "limit-exceeded",
        max_record_len=100,
    )
    no(
        "record-unlabelled-aad",
        "the associated data lacks the label",
        b"\xf8"
        + w.u64(REFERENCE)
        + bytes(24)
        + w.xaes_seal(m.record_key, bytes(24), b"x", b"\xf8" + w.u64(REFERENCE) + w.record_context(CELL)),
        "tampered",
    )
    no("record-under-dek", "sealed under the data key itself", seal("dek", b"x", key=m.dek), "tampered")
    no("record-under-child-key", "sealed under K_child", seal("child", b"x", key=m.child_key), "tampered")
    no(
        "record-envelope-context",
        "the envelope is opened under another context",
        whole,
        "wrong-context",
        context={b"tenant": b"acme"},
    )


def first_bit(key):
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(bytes(16))[0] >> 7


def make():
    records()
