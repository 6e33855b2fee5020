"""The manual's section 18: one message and one record, byte by byte, made by the writer."""

import hashlib

import cases
import kuvert_writer as w

KEY = bytes(range(0x00, 0x20))
DEK = bytes(range(0x20, 0x40))
SALT = bytes(range(0x40, 0x58))
NONCE = bytes(range(0x60, 0x78))
CELL = (b"users", b"email", b"42")


def lines(note, data, width=32):
    """Hexadecimal in rows of 16 or 32 bytes, the note behind the first one."""
    rows = [data[at : at + width].hex() for at in range(0, len(data), width)]
    return [f"{row.ljust(2 * width)}  {note if i == 0 else ''}".rstrip() for i, row in enumerate(rows)]


def zeros(note, count):
    return [f"{'00' * min(count, 4)}{'...' if count > 4 else ''}".ljust(64) + f"  {note}"]


def make():
    m = w.Material(DEK, SALT, {b"table": b"users"})
    wrap = w.wrap_key(KEY, DEK)
    slot = w.Slot([w.stanza(w.KWP, b"k1", b"", wrap)])
    data = w.message(m, [slot], b"hello")
    stored = m.stored_context
    at = 32 + len(stored)
    text = [
        "```text",
        f'wrapping key, id "k1"   {KEY.hex()}',
        f"DEK                     {DEK.hex()}",
        f"salt                    {SALT.hex()}",
        "context                 table = users, stored",
        'plaintext               "hello"',
        "",
        f"S(EC)                   {stored.hex()}",
        f"T                       {m.transcript[:12].hex()} {m.transcript[12:16].hex()} S(EC)",
        f"body key                {m.keys()[0].hex()}",
        f"base nonce              {m.keys()[1].hex()}",
        f"commitment              {m.keys()[2].hex()}",
        f"K_mac                   {m.derive('header-mac', 64)[:32].hex()}",
        f"                        {m.derive('header-mac', 64)[32:].hex()}",
        "```",
        "",
        f"The message, {len(data)} bytes:",
        "",
        "```text",
    ]
    text += lines("magic", data[:8]) + lines("version 1, kind 1, suite 1", data[8:12])
    text += lines(f"context_len {len(stored)}", data[12:16]) + lines("slot_len 128", data[16:20])
    text += lines("slot_count 1, layout_flags 0, pad_len 0", data[20:23]) + lines("reserved", data[23:32])
    text += lines("stored context S(stored pairs)", stored)
    text += lines("slot A: generation 1", data[at : at + 4]) + lines("stanza_count 1", data[at + 4 : at + 6])
    text += lines("reserved", data[at + 6 : at + 8]) + lines("stanza_bytes 54", data[at + 8 : at + 12])
    at += 12
    text += lines("stanza: type 0x0001, flags 0", data[at : at + 4])
    text += lines("id_len 2, params_len 0, wrap_len 40, reserved", data[at + 4 : at + 12])
    text += lines('id "k1"', data[at + 12 : at + 14]) + lines("wrap: AES-KWP of DEK", wrap)
    padding = 128 - 44 - 54
    text += zeros(f"padding, {padding} bytes", padding)
    end = 32 + len(stored) + 128
    text += lines("mac", data[end - 32 : end]) + lines("body: salt", SALT) + lines("commitment", m.keys()[2])
    text += lines("chunk 0: ciphertext 5, tag 16", data[end + 56 :]) + ["```", ""]
    e = w.envelope_material(DEK, SALT, "record", 0x0123456789ABCDEF)
    sealed = w.record(e.record_key, 0x0123456789ABCDEF, NONCE, b"hello", CELL)
    text += [
        "A record under a key envelope of the same DEK and salt, role `record`, reference 0123456789abcdef, "
        "no more pairs:",
        "",
        "```text",
        f"K_record   {e.record_key.hex()}",
        f"C          {w.record_context(CELL).hex()}",
        f"record     {sealed[:1].hex()} {sealed[1:9].hex()} {sealed[9:33].hex()}",
        f"           {sealed[33:38].hex()} {sealed[38:].hex()}",
        "```",
        "",
    ]
    assert data == w.message(m, [slot], b"hello") and end + 77 == len(data)
    cases.KEYS["k1"] = KEY
    cases.ok(
        "example-message",
        "the message of the manual's section 18",
        data,
        b"hello",
        keys=["k1"],
        opened_by="0001 k1",
        context={b"table": b"users"},
        calls=1,
    )
    envelope = w.message(e, [w.Slot([w.stanza(w.KWP, b"k1", b"", wrap)])], b"")
    cases.add(
        "example-record",
        "the record of the manual's section 18",
        sealed,
        kind="record",
        keys=["k1"],
        envelope=envelope.hex(),
        part=[part.decode() for part in CELL],
        plaintext_len=5,
        plaintext_sha256=hashlib.sha256(b"hello").hexdigest(),
    )
    return "\n".join(text)


def check_primitives():
    """The writer's XAES-256-GCM against the two vectors of its specification."""
    nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX"
    one = w.xaes_seal(b"\1" * 32, nonce, b"XAES-256-GCM", b"")
    two = w.xaes_seal(b"\3" * 32, nonce, b"XAES-256-GCM", b"c2sp.org/XAES-256-GCM")
    assert one.hex() == "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"
    assert two.hex() == "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"
