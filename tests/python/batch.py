#!/usr/bin/env python3
"""The Python reader and writer for other programs' tests: one request a line on stdin, one answer a line on stdout.

Both are JSON; bytes are hexadecimal, or the path of a file. A request names what to do; an answer holds "error" where
the request itself could not be carried out (a bug of the test), and else at least "category": "ok" or a refusal's.

    open          keys, message, header?, context, accept_stored?, stream?, out?    the reader, into a file if `out`
    write         keys, layout, plaintext, stored, required, seed, out, header_out?  the writer, sealed by the first key
    record_key    keys, stored, required, reference, seed                            the writer: an envelope
    write_record  key (a number that record_key gave), nonce, plaintext, parts       the writer
    open_record   keys, envelope, context, record, parts                             the reader
    cli           args, stdin?, out                                                  the reader's command line
"""

import hashlib
import io
import json
import os
import sys

sys.dont_write_bytecode = True

import kuvert_writer as w  # noqa: E402
from strict_reader import Failure, check_stanza, reader  # noqa: E402

RECORD_KEYS = []


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def pairs(listed):
    return [(name.encode(), value.encode()) for name, value in listed]


def keys_of(request):
    return reader.parse_key_file(read_file(request["keys"]))


def do_open(request):
    size = None if request.get("stream") else os.path.getsize(request["message"])
    header = read_file(request["header"]) if request.get("header") else None
    digest, length = hashlib.sha256(), 0
    with open(request["message"], "rb") as source, open(request.get("out") or os.devnull, "wb") as out:
        opener = reader.Opener(
            source.read,
            keys_of(request),
            reader.check_presented(pairs(request["context"])),
            size=size,
            header=header,
            check=check_stanza,
            accept_stored=request.get("accept_stored", False),
        )
        for piece in opener.plaintext():
            digest.update(piece)
            length += len(piece)
            out.write(piece)
    kind, name = opener.opened_by
    return {
        "len": length,
        "sha256": digest.hexdigest(),
        "generation": opener.generation,
        "degraded": opener.degraded,
        "opened_by": f"{kind:04x} {name.decode()}",
        "calls": opener.calls,
    }


def material(request, **other):
    draw = w.Draw(request["seed"])
    dek, salt = draw.take(32), draw.take(24)
    stored, required = dict(pairs(request["stored"])), dict(pairs(request["required"]))
    if "reference" in request:
        return w.envelope_material(dek, salt, "record", int(request["reference"], 16), stored, required)
    return w.Material(dek, salt, stored, required)


def slot(request, m):
    name, key = next(iter(keys_of(request).items()))
    return w.Slot([w.stanza(w.KWP, name, b"", w.wrap_key(key, m.dek))])


def do_write(request):
    m = material(request)
    header = w.header(m, [slot(request, m)], w.Geometry(request["layout"]))
    body = m.body(read_file(request["plaintext"]))
    if request["layout"] == "detached":
        with open(request["header_out"], "wb") as out:
            out.write(header)
        header = b""
    with open(request["out"], "wb") as out:
        out.write(header + body)
    return {}


def do_record_key(request):
    m = material(request)
    RECORD_KEYS.append((m.record_key, int(request["reference"], 16)))
    return {"envelope": w.message(m, [slot(request, m)], b"").hex(), "key": len(RECORD_KEYS) - 1}


def parts_of(request):
    return [bytes.fromhex(part) for part in request["parts"]]


def do_write_record(request):
    key, reference = RECORD_KEYS[request["key"]]
    nonce, plaintext = bytes.fromhex(request["nonce"]), bytes.fromhex(request["plaintext"])
    return {"record": w.record(key, reference, nonce, plaintext, parts_of(request)).hex()}


def do_open_record(request):
    opener = reader.open_envelope(
        bytes.fromhex(request["envelope"]),
        keys_of(request),
        reader.check_presented(pairs(request["context"])),
        check=check_stanza,
    )
    plaintext = reader.open_record(bytes.fromhex(request["record"]), opener, parts_of(request), 64 * 2**20)
    return {"plaintext": plaintext.hex(), "reference": opener.reference.decode()}


class Captured(io.TextIOBase):
    """A standard output that keeps bytes in a file."""

    def __init__(self, path):
        self.buffer = open(path, "wb")


def do_cli(request):
    """The example as it is run by hand, in this process: its arguments, streams and exit status are replaced."""
    kept = sys.argv, sys.stdin, sys.stdout, sys.stderr
    errors = io.StringIO()
    try:
        sys.argv = ["open_without_kuvert.py", *request["args"]]
        sys.stdout, sys.stderr = Captured(request["out"]), errors
        sys.stdin = open(request.get("stdin") or os.devnull, "rb")
        sys.stdin = io.TextIOWrapper(sys.stdin)
        try:
            status = reader.main()
        except SystemExit as done:
            status = done.code
        sys.stdout.buffer.close()
    finally:
        sys.argv, sys.stdin, sys.stdout, sys.stderr = kept
    return {"status": status, "stderr": errors.getvalue()}


DO = {
    "open": do_open,
    "write": do_write,
    "record_key": do_record_key,
    "write_record": do_write_record,
    "open_record": do_open_record,
    "cli": do_cli,
}


def main():
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"category": "ok", **DO[request["do"]](request)}
        except Failure as failure:
            answer = {"category": failure.args[0], "text": failure.args[1]}
        except Exception as error:  # told to the test, which fails
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
