"""What the vectors share: keys, materials, and how a case is written down."""

import hashlib

import kuvert_writer as w
from vector_file import encode

VECTORS = {}

KEY = "backup-2026"
OTHER = "backup-2025"
KEYS = {name: w.Draw(f"key {name}").take(32) for name in (KEY, OTHER, "nobody", "a/b@c_d.e-F9")}


def key_line(name=KEY):
    return w.key_line(name, KEYS[name])


def plain(length, seed="plaintext"):
    return hashlib.shake_128(seed.encode()).digest(length)


def full_context():
    """Four pairs of 16 384 bytes, the longest context there is."""
    pairs = {b"a%d" % i: b"v" * 4096 for i in range(3)}
    pairs[b"a3"] = b"v" * 4070
    assert len(w.context_bytes(pairs)) == 16_384
    return pairs


def material(seed, stored=None, required=None, **other):
    draw = w.Draw(f"message {seed}")
    return w.Material(draw.take(32), draw.take(24), stored or {}, required or {}, **other)


def kwp(m, key=KEY, name=None, dek=None):
    """The data key of `m`, wrapped for a key of ours."""
    name = key.encode() if name is None else name
    return w.stanza(w.KWP, name, b"", w.wrap_key(KEYS[key], m.dek if dek is None else dek))


def add(name, comment, data, kind="message", expect="ok", keys=(KEY,), members=(), context=None, lines=(), **fields):
    """Writes a case down. `context` is what is presented; names of `fields` have hyphens in the file; `lines` are as
    they stand there."""
    assert name not in VECTORS, name
    text = [("comment", part) for part in comment.split("\n")]
    text += [("kind", kind), ("expect", expect)]
    text += [("key", key_line(key)) for key in keys]
    text += [("member", key_line(key)) for key in members]
    for pair_name, value in (context.items() if isinstance(context, dict) else context or []):
        text.append(pair_line(pair_name, value))
    for field, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None and one is not False:
                text.append((field.replace("_", "-"), one))
    VECTORS[name] = encode([*text, *lines], data)


def pair_line(name, value):
    text = name + b"=" + value
    printable = all(0x20 <= byte < 0x7F for byte in text) and b"=" not in name
    if printable:
        return "context", text.decode()
    return "context-hex", f"{name.hex()}={value.hex()}"


def ok(name, comment, data, plaintext, generation=1, opened_by=f"0001 {KEY}", **fields):
    """A message that opens."""
    add(
        name,
        comment,
        data,
        generation=generation,
        opened_by=opened_by,
        plaintext_len=len(plaintext),
        plaintext_sha256=hashlib.sha256(plaintext).hexdigest(),
        **fields,
    )


def bad(name, comment, data, category, before_key=True, **fields):
    """A message that does not open; `before_key` unless said otherwise."""
    add(name, comment, data, expect=category, before_key=before_key, **fields)


def after(name, comment, data, category, **fields):
    """A message that does not open, told only with a key."""
    bad(name, comment, data, category, before_key=False, **fields)
