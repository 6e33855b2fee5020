#!/usr/bin/env python3
"""Opens what kuvert sealed, without kuvert: written from the manual's page "Format" alone.

A backup is worth what its reader is worth in ten years. The formats are two public standards with a small header in
front, and this file is the proof. It needs Python 3.9 and one package: pip install "cryptography>=50".

    open_without_kuvert.py -k backup.key dump.kuvert > dump.tar             a message in a file
    open_without_kuvert.py -k backup.key -c table=users < dump.kuvert       a stream; -c gives the context
    open_without_kuvert.py -k backup.key --header dump.kvh dump.kuvert      a detached header
    open_without_kuvert.py -k app.key --envelope users.kve --part users --part email --part 42 --record f8...

How a message opens (numbers are sections of the manual):
 1. The first 32 bytes say how long everything in the header is (3); they are checked before anything else is read.
 2. The encryption context is compared with what the header stores of it (2), and goes into every derived key.
 3. The header's slots hold stanzas, each the data key wrapped for somebody (3). One of type 0x0001 that names a key of
    our key file is unwrapped by AES-KWP; other types need a KMS or an HSM and are left alone here.
 4. The commitment in front of the body tells whether data key and context are the right ones (4, 7).
 5. Only the data key can check the slots' MACs, so this comes now: nobody exchanged the list of recipients (7).
 6. The body is a Cobblestone-256 message. Its last chunk is always shorter than 16 KiB, so a cut input shows.

The exit status is kuvert's (11). What is written was verified, but it is complete only if the status is 0.
"""
import argparse
import base64
import hashlib
import hmac
import os
import re
import sys
from functools import partial
from struct import unpack

from cryptography.cobblestone import Cobblestone256Decryptor
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFCMAC, CounterLocation, Mode
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap_with_padding

MESSAGE, ENVELOPE, MAX_HEADER = 1, 2, 278_591
RESERVED = (b"kuvert:", b"aws-crypto-")
STATUS = {"io": 1, "usage": 2, "malformed": 3, "unsupported": 3, "limit-exceeded": 3, "truncated": 4, "tampered": 4,
          "wrong-context": 5, "wrong-key": 6, "key-unavailable": 6}

class Failure(Exception):
    """A category of section 11, and a sentence without secrets."""

def require(condition, text, category="malformed"):
    if not condition:
        raise Failure(category, text)

class Bytes:
    """A byte string that is taken from the front; running out of it is malformed."""
    def __init__(self, data):
        self.left = data

    def take(self, length):
        require(length <= len(self.left), "a length passes the end")
        taken, self.left = self.left[:length], self.left[length:]
        return taken

    def u16(self):
        return unpack(">H", self.take(2))[0]

    def read(self, length):
        return self.take(min(length, len(self.left)))

# 1 Notation and primitives
def label(name):
    return b"kuvert/v1/" + name + b"\0"

def expand(prk, info, length):
    return HKDFExpand(hashes.SHA512(), length, info).derive(prk)

# 2 Encryption context
def serialise(pairs):
    parts = [len(pairs).to_bytes(2, "big")] if pairs else []
    for pair in sorted(pairs.items()):
        parts += [len(part).to_bytes(2, "big") + part for part in pair]
    require(len(pairs) <= 64 and sum(map(len, parts)) <= 16_384, "the context is too long", "limit-exceeded")
    return b"".join(parts)

def is_utf8(data):
    return data.decode("utf-8", "replace").encode() == data

def check_presented(items):
    """What the caller presents, a list of (name, value)."""
    for name, value in items:
        require(len(name) <= 255 and len(value) <= 4096, "context: a name or value is too long", "limit-exceeded")
        require(name and is_utf8(name) and is_utf8(value), "context: an empty name, or not UTF-8", "usage")
        require(not name.startswith(RESERVED), "context: a reserved name", "usage")
    require(len(dict(items)) == len(items), "context: a name is given twice", "usage")
    return dict(items) if serialise(dict(items)) else {}

def parse_context(data, kind):
    """The stored context of a header, where there is one."""
    pairs, last, data = {}, b"", Bytes(data)
    count = data.u16()
    require(count <= 64, "stored context: more than 64 pairs", "limit-exceeded")
    for _ in range(count):
        pair = []
        for limit in (255, 4096):
            length = data.u16()
            require(length <= limit, "stored context: a name or value is too long", "limit-exceeded")
            pair.append(data.take(length))
            require(is_utf8(pair[-1]), "stored context: not UTF-8")
        own = kind == ENVELOPE and pair[0] in (b"kuvert:role", b"kuvert:reference")
        require(own or not pair[0].startswith(RESERVED), "stored context: a reserved name")
        require(pair[0] > last, "stored context: a name is empty, there twice, or not in order")
        last, pairs[last] = pair
    require(pairs and not data.left, "stored context: a count of 0, or bytes left over")
    return pairs

def bind(stored, presented, accept_stored, kind, role, reference):
    """The whole context (step 2), or why it is another one."""
    if kind == ENVELOPE:
        claimed, roles = stored.get(b"kuvert:reference", b""), (b"record", b"root", b"epoch")
        formed = re.fullmatch(rb"(?!0{16})[0-9a-f]{16}", claimed) and stored.get(b"kuvert:role") in roles
        require(formed, "kuvert:role or kuvert:reference is missing or ill-formed")
        presented = {**presented, b"kuvert:role": role, b"kuvert:reference": reference or claimed}
    for name, value in stored.items():
        given = presented.get(name, value if accept_stored else None)
        require(given == value, f"stored pair {name.decode()!r} is presented wrongly or not at all", "wrong-context")
    return {**stored, **presented}

# 3 Slots and stanzas
def parse_stanza(data):
    kind, flags, id_len, params_len, wrap_len, zero = unpack(">6H", data.take(12))
    possible = id_len <= 2048 and params_len <= 1024 and 1 <= wrap_len <= 6144
    require(possible and flags == zero == 0, "stanza: a length, flags or reserved bytes")
    return kind, data.take(id_len), data.take(params_len), data.take(wrap_len)

def check_stanza(stanza, kind):
    """Only what concerns type 0x0001. Another reader replaces this by one that knows all types."""
    require(stanza[0] != 1 or (stanza[2] == b"" and len(stanza[3]) == 40), "stanza: an AES-KWP wrap is 40 bytes")

def parse_slot(raw, kind, check):
    """Of a slot that is not empty: generation, bytes, stanzas."""
    generation, count, zero, length = unpack(">IHHI", raw[:12])
    require(count <= 32, "slot: more than 32 stanzas", "limit-exceeded")
    require(generation > 0 and count > 0 and zero == 0, "slot: generation, count or reserved bytes")
    require(length <= len(raw) - 44 and not any(raw[12 + length:-32]), "slot: the stanzas' length, or the padding")
    data = Bytes(raw[12:12 + length])
    stanzas = [parse_stanza(data) for _ in range(count)]
    for stanza in stanzas:
        check(stanza, kind)
    pending = all(stanza[0] == 0x0041 for stanza in stanzas)
    require(not data.left and not pending, "slot: bytes after the stanzas, or pending stanzas only")
    return generation, raw, stanzas

# 7 Opening
def check_start(start, kind):
    require(start[:8] == b"\x89KUV\r\n\x1a\n"[:len(start)], "the magic bytes are not kuvert's; text-mode transfer?")
    require(len(start) == 32, "the input ends within its first 32 bytes", "truncated")
    version, found, suite, context_len, slot_len, slots, flags, pad_len = unpack(">BBHIIBBB", start[8:23])
    require(version == 1 and found in (MESSAGE, ENVELOPE), "version or kind", "unsupported")
    require(found == kind, "a key envelope where a message is wanted, or the reverse")
    require(suite == 1 and flags < 2, "suite or layout flags", "unsupported")
    require(flags == 0 or kind == MESSAGE, "a detached key envelope")
    require(context_len <= 16_384 and slot_len <= 131_072, "stored context or slot", "limit-exceeded")
    require(slot_len % 16 == 0 and slot_len >= 128 and slots in (1, 2), "slot_len or slot_count")
    require(pad_len <= 31 and not any(start[23:]), "pad_len or reserved bytes")
    return context_len, slot_len, slots, pad_len, flags == 1

class Opener:
    """Steps 1 to 6 when it is made; `plaintext` is step 7."""
    def __init__(self, read, keys, presented, *, size=None, header=None, kind=MESSAGE, role=b"record", reference=None,
                 accept_stored=False, least_generation=0, max_header=MAX_HEADER, check=check_stanza):
        """`read(n)` gives n bytes, fewer only at the end; `size` is how many, if known; `header` a detached one."""
        self.read, self.size, self.kind, self.calls = read, size, kind, 0
        raws = self.read_header(None if header is None else Bytes(header), max_header)
        self.body_start = read(56)
        require(len(self.body_start) == 56, "the body's start is missing", "truncated")
        stored = parse_context(self.stored, kind) if self.stored else {}
        context = bind(stored, presented, accept_stored, kind, role, reference)
        self.reference, bound = context.get(b"kuvert:reference"), serialise(context)
        self.transcript = self.header[:12] + len(bound).to_bytes(4, "big") + bound
        self.cobblestone_context = label(b"message") + self.transcript
        slots = self.parse_slots(raws, check)
        self.key = self.unwrap(slots, keys)
        self.verify_slots(slots)
        require(self.generation >= least_generation, "the header was rolled back", "tampered")

    def read_header(self, detached, max_header):
        read = detached.read if detached else self.read
        start = read(32)
        context_len, slot_len, slots, pad_len, is_detached = check_start(start, self.kind)
        length = 32 + context_len + slot_len * slots + pad_len
        require(length <= max_header, "the header is longer than this reader allows", "limit-exceeded")
        self.header = start + read(length - 32)
        require(len(self.header) == length, "the input ends within the header", "truncated")
        require(not any(self.header[length - pad_len:]), "the padding")
        require(is_detached == bool(detached), "a detached header wants --header, and only such a one", "usage")
        require(not detached or not detached.left, "bytes after a detached header")
        if self.size is not None:
            body = self.size - (0 if detached else length)
            require(body >= 72 and (body - 56) % 16_400 >= 16, "the body's end is missing", "truncated")
            require((body - 56) // 16_400 < 2**38, "the body", "limit-exceeded")
            require(self.kind == MESSAGE or body == 72, "bytes after a key envelope")
        self.stored = self.header[32:32 + context_len]
        return [self.header[at:at + slot_len] for at in range(32 + context_len, length - pad_len, slot_len)]

    def parse_slots(self, raws, check):
        """Step 3. A slot that is not well formed is fatal only if no other is."""
        good, faults = [], []
        for raw in filter(any, raws):
            try:
                good.append(parse_slot(raw, self.kind, check))
            except Failure as fault:
                faults.append(fault)
        if not good:
            raise faults[0] if faults else Failure("malformed", "no slot is filled")
        self.degraded = bool(faults)
        return sorted(good, key=lambda slot: -slot[0])

    def matching(self, stanzas, keys):
        """The stanzas that keys of ours can unwrap, each with how."""
        ours = [stanza for stanza in stanzas if stanza[0] == 0x0001 and stanza[1] in keys]
        return [(kind, name, wrap, partial(aes_key_unwrap_with_padding, keys[name])) for kind, name, _, wrap in ours]

    def unwrap(self, slots, keys):
        """Steps 4 and 5: the data key of the first stanza whose key fits the commitment."""
        info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + self.body_start[:24] + self.cobblestone_context
        unwrapped = False
        for _, _, stanzas in slots:
            for kind, name, wrap, unwrap in self.matching(stanzas, keys)[:4]:
                self.calls += 1
                try:
                    key = unwrap(wrap)
                except (InvalidUnwrap, ValueError):
                    continue
                unwrapped = unwrapped or len(key) == 32
                if len(key) == 32 and hmac.compare_digest(expand(key, info, 76)[44:], self.body_start[24:]):
                    self.opened_by = (kind, name)
                    return key
        require(not unwrapped, "another context (see -c), or salt or commitment are damaged", "wrong-context")
        require(self.calls, "none of the keys given is among the recipients", "key-unavailable")
        raise Failure("wrong-key", "a key of that name does not unwrap the data key")

    def derive(self, name, length):
        return expand(self.key, label(name) + self.body_start[:24] + self.transcript, length)

    def verify_slots(self, slots):
        """Step 6. The slots are in falling order: the first valid one is the active one."""
        def is_valid(raw):
            covered = label(b"slot") + self.header[:32] + self.stored + raw[:-32] + self.body_start
            return hmac.compare_digest(hmac.digest(key, covered, "sha512")[:32], raw[-32:])
        key = self.derive(b"header-mac", 64)
        valid = [slot for slot in slots if is_valid(slot[1])]
        require(valid, "no slot's MAC is valid", "tampered")
        self.degraded = self.degraded or len(valid) < len(slots)
        self.unfinished = len(valid) == 2
        clash = {raw for generation, raw, _ in valid if generation == valid[0][0]}
        require(len(clash) == 1, "two different slots of one generation", "tampered")
        self.generation, _, self.recipients = valid[0]

    def plaintext(self):
        """Step 7: yields verified pieces; the input was complete only if this ends without a failure."""
        cipher, length, piece = Cobblestone256Decryptor(self.key, self.cobblestone_context), 0, self.body_start
        try:
            while piece:
                yield cipher.update(piece)
                piece = self.read(2**20)
                length += len(piece)
            require(length % 16_400 >= 16, "the input ends before the last chunk does", "truncated")
            yield cipher.finalize()
        except InvalidTag:
            raise Failure("tampered", "a chunk was changed, moved or is missing") from None

# 9 Key envelope and 10 Record
def open_envelope(envelope, keys, presented, **options):
    """The opener, whose `derive(b"record", 32)` is K_record and whose `reference` is verified."""
    opener = Opener(Bytes(envelope).read, keys, presented, size=len(envelope), kind=ENVELOPE, **options)
    list(opener.plaintext())
    return opener

def open_record(record, opener, parts, limit=2**20):
    require(record, "no bytes", "truncated")
    require(record[0] < 0xF9 and record[0] not in (0xC0, 0xC1), "the record's version", "unsupported")
    require(record[0] == 0xF8, "not sealed: a record begins with f8")
    require(len(record) >= 49, "a record has at least 49 bytes", "truncated")
    require(len(record) - 49 <= limit, "the record is longer than this reader allows", "limit-exceeded")
    require(record[1:9].hex().encode() == opener.reference, "the record is under another key", "key-unavailable")
    cell = len(parts).to_bytes(2, "big") + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    # XAES-256-GCM: half of the nonce makes a subkey (SP 800-108 with AES-CMAC), the other half is GCM's nonce.
    fixed, before = b"X\0" + record[9:21], CounterLocation.BeforeFixed
    kdf = KBKDFCMAC(algorithms.AES, Mode.CounterMode, 32, 2, None, before, None, None, fixed)
    subkey = AESGCM(kdf.derive(opener.derive(b"record", 32)))
    try:
        return subkey.decrypt(record[21:33], record[33:], label(b"record") + record[:9] + cell)
    except InvalidTag:
        raise Failure("tampered", "the record was changed, or is of another cell") from None

# 12 Key file
def parse_key_file(data):
    """Ids and keys, in order. A fault is told by its line, without the key."""
    keys = {}
    for number, line in enumerate(re.split(rb"\r?\n", data), 1):
        if line == b"" or (line[:1] == b"#" and b"\r" not in line and is_utf8(line)):
            continue
        entry = re.fullmatch(rb"kuvert-key-v1:([A-Za-z0-9._/@-]{1,256}):([A-Za-z0-9+/]{48})", line)
        require(entry, f"key file, line {number}: not an entry", "usage")
        name, raw = entry[1], base64.b64decode(entry[2])
        right = hashlib.sha256(b"kuvert-key-v1" + name + raw[:32]).digest()[:4]
        require(hmac.compare_digest(right, raw[32:]), f"key file, line {number}: mistyped", "usage")
        require(name not in keys, f"key file, line {number}: the id is there already", "usage")
        keys[name] = raw[:32]
    require(keys, "key file: no entry", "usage")
    return keys

# 16 Command line
def pieces(options):
    require(all("=" in pair for pair in options.context), "-c wants NAME=VALUE", "usage")
    presented = check_presented([os.fsencode(pair).split(b"=", 1) for pair in options.context])
    keys, accept = {}, options.accept_stored_context
    for path in options.keys:
        for name, key in parse_key_file(open(path, "rb").read()).items():
            require(keys.setdefault(name, key) == key, f"two keys with the id {name.decode()}", "usage")
    if options.record is not None:
        require(options.envelope, "--record wants --envelope", "usage")
        opener = open_envelope(open(options.envelope, "rb").read(), keys, presented, accept_stored=accept)
        return [open_record(bytes.fromhex(options.record), opener, options.part)]
    source = sys.stdin.buffer if options.input == "-" else open(options.input, "rb")
    size = os.path.getsize(options.input) if os.path.isfile(options.input) else None
    header = open(options.header, "rb").read(MAX_HEADER + 1) if options.header else None
    opener = Opener(source.read, keys, presented, size=size, header=header, accept_stored=accept)
    if opener.degraded or opener.unfinished:
        print("warning: one of the header's slots is damaged, or left from a rewrap", file=sys.stderr)
    return opener.plaintext()

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", dest="keys", action="append", required=True, metavar="KEYFILE")
    parser.add_argument("-c", dest="context", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--accept-stored-context", action="store_true", help="stored pairs need not be given")
    parser.add_argument("--header", metavar="FILE", help="a detached header; the input is then the body")
    parser.add_argument("--record", metavar="HEX", help="a record, instead of an input")
    parser.add_argument("--envelope", metavar="FILE", help="the record's key envelope")
    parser.add_argument("--part", action="append", default=[], type=os.fsencode, help="table, column, row, in order")
    parser.add_argument("--part-hex", dest="part", action="append", type=bytes.fromhex, metavar="HEX", help="odd ones")
    parser.add_argument("input", nargs="?", default="-")
    try:
        sys.stdout.buffer.writelines(pieces(parser.parse_args()))
        sys.stdout.buffer.flush()
        return 0
    except (Failure, OSError, ValueError) as error:
        io = "io" if isinstance(error, OSError) else "usage"
        category, text = error.args if isinstance(error, Failure) else (io, error)
        print(f"{category}: {text}", file=sys.stderr)
        return STATUS[category]

if __name__ == "__main__":
    sys.exit(main())
