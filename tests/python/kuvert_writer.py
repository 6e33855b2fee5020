"""Writes kuvert's formats from the manual alone: messages, key envelopes, records, key files.

It shares no code with the reader in examples/: where the two agree, they agree about the manual. Everything is made
from randomness that the caller gives, so the same call gives the same bytes; and every field can be given a wrong
value while all others, the MAC included, stay consistent with it, so that a file can have exactly one fault.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

MAGIC = bytes.fromhex("894b55560d0a1a0a")
CHUNK = 16_384

KWP, HSM_GCM, RSA_SHA256, RSA_SHA1 = 0x0001, 0x0002, 0x0003, 0x0004
KMS, KMS_RSA, PARENT, ALL_OF, PENDING = 0x0010, 0x0011, 0x0020, 0x0040, 0x0041


def u8(value):
    return value.to_bytes(1, "big")


def u16(value):
    return value.to_bytes(2, "big")


def u32(value):
    return value.to_bytes(4, "big")


def u64(value):
    return value.to_bytes(8, "big")


class Draw:
    """Bytes that look random and are the same every time: SHAKE-256 of a seed."""

    def __init__(self, seed):
        self.seed, self.drawn = seed.encode(), 0

    def take(self, length):
        self.drawn += 1
        return hashlib.shake_256(self.seed + b"/" + str(self.drawn).encode()).digest(length)


# ---- primitives (section 1) ----


def label(name):
    return b"kuvert/v1/" + name.encode() + b"\0"


def hmac512(key, data):
    return hmac.new(key, data, hashlib.sha512).digest()


def hkdf_expand(prk, info, length):
    blocks = [b""]
    while 64 * (len(blocks) - 1) < length:
        blocks.append(hmac512(prk, blocks[-1] + info + u8(len(blocks))))
    return b"".join(blocks)[:length]


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def cobblestone_keys(input_key, salt, context):
    okm = hkdf_expand(input_key, b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + salt + context, 76)
    return okm[:32], okm[32:44], okm[44:]


def seal_chunk(key, base_nonce, number, plaintext):
    return AESGCM(key).encrypt(xor(base_nonce, number.to_bytes(12, "big")), plaintext, None)


def xaes_seal(key, nonce, plaintext, aad):
    aes = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    block = aes.update(bytes(16))
    k1 = (int.from_bytes(block, "big") << 1) % 2**128
    if block[0] & 0x80:
        k1 ^= 0x87
    k1 = k1.to_bytes(16, "big")
    subkey = b"".join(aes.update(xor(bytes([0, i, 0x58, 0]) + nonce[:12], k1)) for i in (1, 2))
    return AESGCM(subkey).encrypt(nonce[12:], plaintext, aad)


def wrap_key(kek, key):
    return aes_key_wrap_with_padding(kek, key)


# ---- encryption context (section 2) ----


def context_bytes(pairs, count=None):
    """S of pairs (bytes to bytes), or of a list of pairs in the order given, canonical or not."""
    listed = sorted(pairs.items()) if isinstance(pairs, dict) else pairs
    if not listed and count is None:
        return b""
    out = u16(len(listed) if count is None else count)
    for name, value in listed:
        out += u16(len(name)) + name + u16(len(value)) + value
    return out


# ---- stanzas and slots (section 3) ----


def stanza(kind, name=b"", params=b"", wrap=b"", flags=0, reserved=0, lens=None):
    id_len, params_len, wrap_len = lens or (len(name), len(params), len(wrap))
    return u16(kind) + u16(flags) + u16(id_len) + u16(params_len) + u16(wrap_len) + u16(reserved) + name + params + wrap


def kms_params(*names):
    return u8(len(names)) + b"".join(u8(len(name)) + name for name in names)


def all_of_wrap(core, dek, kek_by_nested, shares):
    """`kek_by_nested` gives each nested stanza from its share."""
    together = shares[0]
    for share in shares[1:]:
        together = xor(together, share)
    kek = hkdf_expand(together, label("all-of") + u8(len(shares)) + core, 32)
    nested = b"".join(make(share) for make, share in zip(kek_by_nested, shares))
    return u8(len(shares)) + nested + wrap_key(kek, dek)


@dataclass
class Slot:
    """A slot before its MAC. Each field that is not None replaces what would be right."""

    stanzas: list
    generation: int = 1
    count: int = None
    stanza_bytes: int = None
    reserved: int = 0
    padding: bytes = b""
    mac: bytes = None
    spoil: object = None  # bytes before the MAC -> other bytes, after the MAC was made

    def body(self, slot_len):
        stanzas = b"".join(self.stanzas)
        count = len(self.stanzas) if self.count is None else self.count
        length = len(stanzas) if self.stanza_bytes is None else self.stanza_bytes
        start = u32(self.generation) + u16(count) + u16(self.reserved) + u32(length)
        body = (start + stanzas + self.padding).ljust(slot_len - 32, b"\0")
        assert len(body) == slot_len - 32, "the stanzas do not fit"
        return body

    def needs(self):
        return 44 + sum(map(len, self.stanzas)) + len(self.padding)


# ---- messages (sections 3 to 5) ----


@dataclass
class Material:
    """What one message or key envelope is made of, apart from its header's geometry."""

    dek: bytes
    salt: bytes
    stored: dict = field(default_factory=dict)
    required: dict = field(default_factory=dict)
    kind: int = 1
    version: int = 1
    suite: int = 1
    magic: bytes = MAGIC
    stored_bytes: bytes = None
    all_bytes: bytes = None

    @property
    def core(self):
        return self.magic + u8(self.version) + u8(self.kind) + u16(self.suite)

    @property
    def stored_context(self):
        return context_bytes(self.stored) if self.stored_bytes is None else self.stored_bytes

    @property
    def transcript(self):
        whole = context_bytes({**self.stored, **self.required}) if self.all_bytes is None else self.all_bytes
        return self.core + u32(len(whole)) + whole

    def derive(self, name, length):
        return hkdf_expand(self.dek, label(name) + self.salt + self.transcript, length)

    @property
    def record_key(self):
        return self.derive("record", 32)

    @property
    def child_key(self):
        return self.derive("child", 32)

    def keys(self):
        return cobblestone_keys(self.dek, self.salt, label("message") + self.transcript)

    @property
    def body_start(self):
        return self.salt + self.keys()[2]

    def chunks(self, plaintext):
        key, base_nonce, _ = self.keys()
        count = len(plaintext) // CHUNK + 1
        return [seal_chunk(key, base_nonce, i, plaintext[i * CHUNK : (i + 1) * CHUNK]) for i in range(count)]

    def body(self, plaintext):
        return self.body_start + b"".join(self.chunks(plaintext))

    def slot_mac(self, prefix, slot_body, body_start=None):
        covered = label("slot") + prefix + self.stored_context + slot_body + (body_start or self.body_start)
        return hmac512(self.derive("header-mac", 64), covered)[:32]


@dataclass
class Geometry:
    """The numbers of a header's start. None: what the layout says."""

    layout: str = "compact"
    context_len: int = None
    slot_len: int = None
    slot_count: int = None
    flags: int = None
    pad_len: int = None
    reserved: bytes = bytes(9)
    padding: bytes = None

    def settle(self, context_len, need):
        """(context_len, slot_len, slot_count, flags, pad_len), as section 5 says where nothing else is given."""
        least = max(128, -(-need // 16) * 16)
        count, pad_len, slot_len = 1, 0, least
        if self.layout == "rewrappable":
            count, total = 2, 4096
            while True:
                pad_len = (total - 32 - context_len) % 32
                slot_len = (total - 32 - context_len - pad_len) // 2
                if slot_len >= least:
                    break
                total += 4096
        right = (context_len, slot_len, count, 1 if self.layout == "detached" else 0, pad_len)
        given = (self.context_len, self.slot_len, self.slot_count, self.flags, self.pad_len)
        return tuple(r if g is None else g for r, g in zip(right, given))


def header(material, slots, geometry=None, body_start=None):
    """A header. `slots` holds one or two of: a Slot, raw bytes, or None for an empty slot."""
    geometry = geometry or Geometry()
    stored = material.stored_context
    need = max([slot.needs() for slot in slots if isinstance(slot, Slot)] + [0])
    context_len, slot_len, count, flags, pad_len = geometry.settle(len(stored), need)
    prefix = material.core + u32(context_len) + u32(slot_len) + u8(count) + u8(flags) + u8(pad_len) + geometry.reserved
    out = prefix + stored
    slots = list(slots) + [None] * (count - len(slots)) if count <= 2 else list(slots)
    for slot in slots:
        if isinstance(slot, Slot):
            body = slot.body(slot_len)
            mac = material.slot_mac(prefix, body, body_start) if slot.mac is None else slot.mac
            out += (slot.spoil(body) if slot.spoil else body) + mac
        else:
            out += (slot or b"").ljust(slot_len, b"\0")
    return out + (bytes(pad_len) if geometry.padding is None else geometry.padding)


def message(material, slots, plaintext, geometry=None):
    return header(material, slots, geometry) + material.body(plaintext)


# ---- key envelopes (section 9) and records (section 10) ----


def envelope_material(dek, salt, role, reference, stored=None, required=None, **other):
    own = {b"kuvert:role": role.encode(), b"kuvert:reference": b"%016x" % reference}
    return Material(dek, salt, {**own, **(stored or {})}, required or {}, kind=2, **other)


def record_context(parts):
    return u16(len(parts)) + b"".join(u32(len(part)) + part for part in parts)


def record(record_key, reference, nonce, plaintext, parts, first=0xF8):
    start = u8(first) + u64(reference)
    return start + nonce + xaes_seal(record_key, nonce, plaintext, label("record") + start + record_context(parts))


# ---- key files (section 12) ----


def key_line(name, key, check=None):
    right = hashlib.sha256(b"kuvert-key-v1" + name.encode() + key).digest()[:4]
    return f"kuvert-key-v1:{name}:" + base64.b64encode(key + (right if check is None else check)).decode()


# ---- key stores (section 14) ----


def counted(data):
    return u32(len(data)) + data


def pseudonym(root, scope, subject):
    return hmac512(root.derive("pseudonym", 64), counted(scope) + counted(subject))[:32]


def scope_tag(root, scope):
    return hmac512(root.derive("pseudonym", 64), counted(scope))[:16]


def request_hash(root, scope, request):
    return hmac512(root.derive("request", 64), counted(scope) + counted(request))[:32]


def blind_index(root, name, scope, value):
    info = label("index") + root.salt + root.transcript + u16(len(name)) + name
    return hmac512(hkdf_expand(root.dek, info, 64), counted(scope) + value)[:32]


def sealed_key(k_subject, epoch, nonce, key, row, first=0xF8, aad_label="subject"):
    """`row` is (scope tag, pseudonym, reference, version)."""
    tag, name, reference, version = row
    start = u8(first) + u64(epoch)
    aad = label(aad_label) + start + tag + name + u64(reference) + u32(version)
    return start + nonce + xaes_seal(k_subject, nonce, key, aad)


def of_subject(key, name, reference):
    """K_record or K_child of a subject key."""
    return hkdf_expand(key, label(name) + u64(reference), 32)


def chain(root, name, links, previous=bytes(32)):
    """`links` are (reference, seconds, code, request hash); `name` is tombstone or receipt."""
    key, out = root.derive(name, 64), []
    for reference, seconds, code, request in links:
        start = u64(reference) + u64(seconds) + u16(code) + request + previous
        previous = hmac512(key, label(name) + start)[:32]
        out.append(start + previous)
    return out


BACKUP_MAGIC = b"kuv-ks-1"


def backup_entry(kind, data):
    return u8(kind) + counted(data)


def backup(entries, change, counts=None):
    counts = counts or [sum(kind == wanted for kind, _ in entries) for wanted in range(1, 9)]
    body = b"".join(backup_entry(kind, data) for kind, data in entries)
    return BACKUP_MAGIC + body + backup_entry(0xFF, u64(change) + b"".join(map(u64, counts)))
