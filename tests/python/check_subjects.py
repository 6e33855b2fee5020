"""The Python reader of the manual's section 14, for the vectors of key stores. It shares no code with the writer."""

import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFCMAC, CounterLocation, Mode
from strict_reader import reader

require, label, expand = reader.require, reader.label, reader.expand
MAX_ENVELOPE = reader.MAX_HEADER + 72


def mac(key, *parts):
    return hmac.digest(key, b"".join(parts), "sha512")


def sized(data):
    return len(data).to_bytes(4, "big") + data


def subject_of(vector):
    """The bytes that stand for the name, or None where the vector has none."""
    limit = 1024
    for field, start in (("person", b""), ("retention-class", b"\xff\x01"), ("credentials", b"\xff\x03")):
        name = vector.one(field)
        if name is not None:
            require(1 <= len(name.encode()) <= limit, "a name's length", "usage")
            return start + name.encode()
    if vector.one("joint") is None:
        return None
    members = [bytes.fromhex(member) for member in vector.all("joint-member")]
    require(2 <= len(members) <= 64, "the number of members", "usage")
    require(all(a < b for a, b in zip(members, members[1:])), "the order of members", "usage")
    return b"\xff\x02" + bytes([vector.number("joint")]) + b"".join(members)


def names(vector, root):
    scope = vector.one("scope").encode()
    require(len(scope) <= 255, "a scope's length", "usage")
    found, pseudonyms = {}, root.derive(b"pseudonym", 64)
    subject = subject_of(vector)
    found["scope-tag"] = mac(pseudonyms, sized(scope))[:16]
    if subject is not None:
        found["pseudonym"] = mac(pseudonyms, sized(scope), sized(subject))[:32]
    if vector.one("request") is not None:
        request = vector.one("request").encode()
        found["request-hash"] = mac(root.derive(b"request", 64), sized(scope), sized(request))[:32]
    if vector.one("index") is not None:
        name = vector.one("index").encode()
        info = label(b"index") + root.body_start[:24] + root.transcript + len(name).to_bytes(2, "big") + name
        found["blind-index"] = mac(expand(root.key, info, 64), sized(scope), vector.one("index-value").encode())[:32]
    return found


def sealed_key(vector, epoch):
    data = vector.data
    require(len(data) >= 81, "a sealed key has 81 bytes", "truncated")
    require(len(data) == 81 and data[0] == 0xF8, "no sealed key")
    require(data[1:9].hex().encode() == epoch.reference, "another epoch", "key-unavailable")
    place = bytes.fromhex(vector.one("scope-tag") + vector.one("pseudonym") + vector.one("key-reference"))
    aad = label(b"subject") + data[:9] + place + vector.number("key-version").to_bytes(4, "big")
    kdf = KBKDFCMAC(algorithms.AES, Mode.CounterMode, 32, 2, None, CounterLocation.BeforeFixed, None, None, b"X\0" + data[9:21])
    try:
        return AESGCM(kdf.derive(epoch.derive(b"subject", 32))).decrypt(data[21:33], data[33:], aad)
    except InvalidTag:
        raise reader.Failure("tampered", "the key was changed, or is of another row") from None


def first_bad(data, key, name):
    before = bytes(32)
    for number in range(len(data) // 114):
        link = data[114 * number : 114 * (number + 1)]
        right = mac(key, label(name), link[:82])[:32]
        if link[50:82] != before or link[82:] != right:
            return number + 1
        before = right
    return None


FIXED = {5: 72, 6: 32, 7: 114, 8: 114, 3: 149, 0xFF: 72}
LONGEST = {1: MAX_ENVELOPE, 2: 26 + MAX_ENVELOPE, 4: 33 + 64 * 32, **FIXED}


def backup_entry(kind, data):
    """Whether an entry has the form of its type."""
    zero = bytes(8)
    if kind == 1:
        return len(data) > 0
    if kind == 2:
        return len(data) > 26 and data[:8] != zero and data[8] <= 1 and data[9] <= 2
    if kind == 3:
        return len(data) == 149 and data[:8] != zero and data[56:60] != bytes(4) and data[60:68] != zero
    if kind == 4:
        members = [data[at : at + 32] for at in range(33, len(data), 32)]
        whole = len(data) >= 97 and len(members[-1]) == 32
        return whole and data[32] <= 1 and all(a < b for a, b in zip(members, members[1:]))
    return len(data) == FIXED[kind]


def backup(data):
    """(counts, change number)."""
    require(b"kuv-ks-1"[: len(data)] == data[:8], "no backup of a key store")
    data, counts, last, reference = data[8:], [0] * 8, 0, b""
    while True:
        require(data, "the end entry is missing", "truncated")
        kind = data[0]
        require(kind in LONGEST, "an unknown type", "unsupported")
        require(len(data) >= 5, "within an entry's start", "truncated")
        length = int.from_bytes(data[1:5], "big")
        require(length <= LONGEST[kind], "an entry's length", "limit-exceeded")
        entry, data = data[5 : 5 + length], data[5 + length :]
        require(len(entry) == length, "within an entry", "truncated")
        require(backup_entry(kind, entry), "an entry's form")
        require(kind >= last and (last > 0 or kind == 1) and not (kind == 1 and last == 1), "the order of entries")
        if kind == 3:
            require(entry[:8] > reference, "the order of subject keys")
            reference = entry[:8]
        last = kind
        if kind == 0xFF:
            stated = [int.from_bytes(entry[at : at + 8], "big") for at in range(8, 72, 8)]
            require(stated == counts, "the counts")
            require(not data, "bytes after the end")
            return counts, int.from_bytes(entry[:8], "big")
        counts[kind - 1] += 1


def check_names(vector, outcome, open_envelope):
    root = open_envelope(vector, bytes.fromhex(vector.one("root")), "root")
    category, found = outcome(lambda: names(vector, root))
    assert category == vector.one("expect"), category
    for field in ("scope-tag", "pseudonym", "request-hash", "blind-index"):
        stated = vector.one(field)
        assert stated is None or found[field].hex() == stated, field


def check_sealed_key(vector, outcome, open_envelope):
    epoch = open_envelope(vector, bytes.fromhex(vector.one("epoch")), "epoch")
    category, key = outcome(lambda: sealed_key(vector, epoch))
    assert category == vector.one("expect"), category
    if key:
        reference = bytes.fromhex(vector.one("key-reference"))
        for field, derived in (
            ("subject-key-sha256", key),
            ("record-key-sha256", expand(key, label(b"record") + reference, 32)),
            ("child-key-sha256", expand(key, label(b"child") + reference, 32)),
        ):
            assert hashlib.sha256(derived).hexdigest() == vector.one(field), field


def check_chain(vector, outcome, open_envelope):
    root = open_envelope(vector, bytes.fromhex(vector.one("root")), "root")
    name = {"tombstones": b"tombstone", "receipts": b"receipt"}[vector.one("chain")]
    assert len(vector.data) % 114 == 0, "a whole number of links"
    found = first_bad(vector.data, root.derive(name, 64), name)
    assert found == vector.number("first-bad"), found
    assert (found is None) == (vector.one("expect") == "ok"), "expect"


def check_backup(vector, outcome, _):
    category, found = outcome(lambda: backup(vector.data))
    assert category == vector.one("expect"), category
    if found:
        assert " ".join(map(str, found[0])) == vector.one("counts"), "counts"
        assert found[1] == vector.number("change"), "change"
