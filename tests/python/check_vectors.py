"""Runs the Python reader over vectors: every outcome that a vector states, from a known length and as a stream."""

import hashlib
import io

import check_subjects
from strict_reader import Failure, Opener, check_stanza, reader
from vector_file import Vector


def keys_of(vector, field="key"):
    lines = vector.all(field)
    return reader.parse_key_file("\n".join(lines).encode()) if lines else {}


def parents_of(vector):
    """References and child keys."""
    return dict(map(bytes.fromhex, line.split(" ")) for line in vector.all("parent-key"))


def outcome(run):
    """(category or "ok", what `run` gave)."""
    try:
        return "ok", run()
    except Failure as failure:
        return failure.args[0], None


def open_message(vector, is_stream):
    """(opener or None, plaintext); `released` is set to what came out before a failure."""
    data, at = vector.data, vector.number("detached-header")
    header, data = (None, data) if at is None else (data[:at], data[at:])
    pieces, made = [], []

    def read(length, source=io.BytesIO(data)):
        return source.read(length)

    def run():
        opener = Opener.__new__(Opener)
        opener.calls = 0
        opener.members = keys_of(vector, "member")
        opener.parents = parents_of(vector)
        made.append(opener)
        opener.__init__(
            read,
            keys_of(vector),
            reader.check_presented(vector.context()),
            size=None if is_stream else len(data),
            header=header,
            check=check_stanza,
            accept_stored=vector.flag("accept-stored"),
            least_generation=vector.number("min-generation", 0),
            max_header=vector.number("max-header-len", reader.MAX_HEADER),
        )
        for piece in opener.plaintext():
            pieces.append(piece)
        return opener

    category, opener = outcome(run)
    return category, opener, b"".join(pieces), made[0].calls if made else 0


def check_opened(vector, opener):
    assert opener.degraded == vector.flag("degraded"), "degraded"
    assert opener.unfinished == vector.flag("unfinished"), "unfinished"


def check_message(vector):
    for is_stream in (False, True):
        category, opener, plaintext, calls = open_message(vector, is_stream)
        expected = vector.one("expect")
        if is_stream:
            expected = vector.one("expect-stream", expected)
        assert category == expected, f"{'stream' if is_stream else 'known length'}: {category}, not {expected}"
        if vector.flag("before-key") and not is_stream:
            assert calls == 0, f"{calls} calls"
        if not is_stream and vector.one("calls") is not None:
            assert calls == vector.number("calls"), f"{calls} calls"
        if vector.one("released-at-most") is not None:
            assert len(plaintext) <= vector.number("released-at-most"), f"{len(plaintext)} bytes released"
        if opener:
            check_opened(vector, opener)
            assert opener.generation == vector.number("generation"), "generation"
            kind, name = opener.opened_by
            assert f"{kind:04x} {name.decode()}" == vector.one("opened-by"), "opened-by"
            check_plaintext(vector, plaintext)


def check_plaintext(vector, plaintext):
    assert len(plaintext) == vector.number("plaintext-len"), "plaintext-len"
    assert hashlib.sha256(plaintext).hexdigest() == vector.one("plaintext-sha256"), "plaintext-sha256"


def open_envelope(vector, data, role, reference=None):
    return reader.open_envelope(
        data,
        keys_of(vector),
        reader.check_presented(vector.context()),
        check=check_stanza,
        role=role.encode(),
        reference=reference,
        accept_stored=vector.flag("accept-stored"),
        max_header=vector.number("max-header-len", reader.MAX_HEADER),
    )


def check_envelope(vector):
    reference = vector.one("reference")
    category, opener = outcome(
        lambda: open_envelope(vector, vector.data, vector.one("role"), reference and reference.encode())
    )
    assert category == vector.one("expect"), category
    if opener:
        check_opened(vector, opener)
        assert opener.reference.decode() == vector.one("claimed-reference"), "claimed-reference"
        if vector.one("role") == "record":
            digest = hashlib.sha256(opener.derive(b"record", 32)).hexdigest()
            assert digest == vector.one("record-key-sha256"), "record-key-sha256"


def check_record(vector):
    def run():
        opener = open_envelope(vector, bytes.fromhex(vector.one("envelope")), "record")
        return reader.open_record(vector.data, opener, vector.parts(), vector.number("max-record-len", 2**20))

    category, plaintext = outcome(run)
    assert category == vector.one("expect"), category
    if category == "ok":
        check_plaintext(vector, plaintext)


def check_context(vector):
    category, serialised = outcome(lambda: reader.serialise(reader.check_presented(vector.context())))
    assert category == vector.one("expect"), category
    assert category != "ok" or serialised == vector.data, "S"


def check_key_file(vector):
    category, keys = outcome(lambda: reader.parse_key_file(vector.data))
    assert category == vector.one("expect"), category
    assert category != "ok" or [name.decode() for name in keys] == vector.all("key-id"), "key-id"


def of_store(run):
    return lambda vector: run(vector, outcome, open_envelope)


CHECKS = {
    "message": check_message,
    "envelope": check_envelope,
    "record": check_record,
    "context": check_context,
    "key-file": check_key_file,
    "names": of_store(check_subjects.check_names),
    "sealed-key": of_store(check_subjects.check_sealed_key),
    "chain": of_store(check_subjects.check_chain),
    "store-backup": of_store(check_subjects.check_backup),
}


def check(raw):
    """Raises AssertionError where the reader does not do what the vector says."""
    vector = Vector(raw)
    CHECKS[vector.one("kind")](vector)
