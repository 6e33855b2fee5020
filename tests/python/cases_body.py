"""Bodies that must be refused: cut, changed, reordered, spliced, extended; and detached headers."""

import kuvert_writer as w
from cases import after, bad, kwp, material, plain
from cases_slots import flip
from kuvert_writer import Geometry, Slot

FULL = 16_400


class Made:
    """A message in parts."""

    def __init__(self, seed, length, **other):
        self.m = material(seed, **other)
        self.plaintext = plain(length, seed)
        self.head = w.header(self.m, [Slot([kwp(self.m)])])
        self.chunks = self.m.chunks(self.plaintext)

    def with_chunks(self, *chunks):
        return self.head + self.m.body_start + b"".join(chunks)

    @property
    def whole(self):
        return self.with_chunks(*self.chunks)


SMALL = Made("body small", 5)
TWO = Made("body two", 16_384 + 7)
THREE = Made("body three", 32_768 + 7)


def detached():
    m = SMALL.m
    body = m.body(SMALL.plaintext)
    head = w.header(m, [Slot([kwp(m)])], Geometry("detached"))
    bad(
        "h048-detached-in-one-file",
        "a detached header with the body behind it, and no body given",
        head + body,
        "usage",
    )
    bad("h048-detached-alone", "a detached header, no body given", head, "usage")
    bad(
        "h048-attached-header-and-body",
        "a header that is not detached, and a body given",
        SMALL.whole,
        "usage",
        detached_header=len(SMALL.head),
    )
    bad("h048-attached-no-body", "a header that is not detached, and nothing behind it", SMALL.head, "truncated")
    bad(
        "detached-header-too-long",
        "a byte after a detached header",
        head + b"\0" + body,
        "malformed",
        detached_header=len(head) + 1,
    )
    bad(
        "detached-header-cut",
        "a detached header without its last byte",
        head[:-1] + body,
        "truncated",
        detached_header=len(head) - 1,
    )
    bad("detached-header-empty", "a header file of no bytes", body, "truncated", detached_header=0)
    bad("h049-detached-empty-body", "an empty body file", head, "truncated", detached_header=len(head))
    bad("h050-detached-71", "a body file of 71 bytes", head + body[:71], "truncated", detached_header=len(head))
    other = material("body other", required={b"a": b"1"})
    after(
        "h064-body-of-other-message",
        "the body of another message",
        head + other.body(b"hello"),
        "wrong-context",
        detached_header=len(head),
    )
    same_dek = w.Material(m.dek, w.Draw("another salt").take(24))
    after(
        "h064-body-of-same-dek",
        "the body of another message under the same data key",
        head + same_dek.body(b"hello"),
        "tampered",
        detached_header=len(head),
    )


def truncated():
    bad("h049-no-body", "the header only", SMALL.head, "truncated")
    for length in (1, 24, 55):
        bad(
            f"h050-body-{length}", "less than salt and commitment", SMALL.whole[: len(SMALL.head) + length], "truncated"
        )
    for length in (56, 57, 71):
        bad(
            f"h050-body-{length}",
            "salt and commitment, and less than a tag",
            SMALL.whole[: len(SMALL.head) + length],
            "truncated",
        )
    bad(
        "h051-at-first-border",
        "cut after the first chunk",
        TWO.with_chunks(TWO.chunks[0]),
        "truncated",
        released_at_most=16_384,
    )
    bad(
        "h051-at-second-border",
        "cut after the second chunk of three",
        THREE.with_chunks(*THREE.chunks[:2]),
        "truncated",
        released_at_most=32_768,
    )
    for left in (1, 15):
        bad(
            f"h051-{left}-after-border",
            "cut within the first 15 bytes of a chunk",
            TWO.with_chunks(TWO.chunks[0], TWO.chunks[1][:left]),
            "truncated",
            released_at_most=16_384,
        )
    for left in (16, 17, 8000, FULL - 1):
        after(
            f"h052-{left}-of-a-chunk",
            "cut within a full chunk",
            TWO.with_chunks(TWO.chunks[0][:left]),
            "tampered",
            released_at_most=0,
        )
    after(
        "h052-last-chunk-one-byte-less", "the last byte is missing", TWO.whole[:-1], "tampered", released_at_most=16_384
    )
    even = Made("body even", 16_384)
    bad(
        "h053-empty-last-chunk-removed",
        "the empty last chunk is missing",
        even.with_chunks(even.chunks[0]),
        "truncated",
        released_at_most=16_384,
    )
    bad(
        "h053-last-chunk-removed",
        "the last chunk is missing",
        TWO.with_chunks(TWO.chunks[0]),
        "truncated",
        released_at_most=16_384,
    )


def changed():
    for number, name in enumerate(("first", "middle", "last")):
        for at, what in ((0, "ciphertext"), (-1, "tag")):
            chunks = list(THREE.chunks)
            chunks[number] = flip(chunks[number], at)
            after(
                f"h054-{name}-{what}",
                f"a bit of the {name} chunk's {what}",
                THREE.with_chunks(*chunks),
                "tampered",
                released_at_most=16_384 * number,
            )
    after(
        "h054-tag-of-empty-message",
        "a bit of the only tag",
        flip(Made("body empty", 0).whole, -1),
        "tampered",
        released_at_most=0,
    )
    a, b, c = THREE.chunks
    twin = Made("body three", 32_768 + 7)
    twin.m = w.Material(THREE.m.dek, w.Draw("twin").take(24))
    other = twin.m.chunks(twin.plaintext)
    for line, name, comment, chunks, released in (
        (55, "first-two", "two chunks swapped", (b, a, c), 0),
        (56, "first-twice", "a chunk repeated", (a, a, b, c), 16_384),
        (56, "second-twice", "a chunk repeated", (a, b, b, c), 32_768),
        (56, "last-twice", "the last chunk repeated", (a, b, c, c), 32_768),
        (56, "instead", "a chunk in the place of another", (a, a, c), 16_384),
        (57, "middle", "a chunk dropped from the middle", (a, c), 16_384),
        (58, "first", "the first chunk dropped", (b, c), 0),
        (59, "last-of-other", "the last chunk of another message under the same data key", (a, b, other[2]), 32_768),
        (59, "first-of-other", "the first chunk of another message under the same data key", (other[0], b, c), 0),
    ):
        after(f"h{line:03}-chunks-{name}", comment, THREE.with_chunks(*chunks), "tampered", released_at_most=released)
    after(
        "h055-last-before-first",
        "the short chunk comes first",
        TWO.with_chunks(TWO.chunks[1], TWO.chunks[0]),
        "tampered",
        released_at_most=0,
    )


def extended():
    garbage = w.Draw("garbage").take(FULL)
    for length in (1, 16, FULL):
        after(
            f"h060-{length}-appended",
            "bytes appended to a short last chunk",
            SMALL.whole + garbage[:length],
            "tampered",
            released_at_most=0,
        )
    nearly = Made("body nearly", 16_383)
    for length, known in ((1, True), (16, True), (17, False)):
        judge = bad if known else after
        judge(
            f"h060-{length}-appended-at-border",
            "bytes appended that fill the last chunk up",
            nearly.whole + garbage[:length],
            "truncated" if known else "tampered",
            expect_stream="tampered" if known else None,
            released_at_most=0,
        )
    even = Made("body even", 16_384)
    after(
        "h061-own-empty-chunk",
        "16 bytes instead of the empty last chunk",
        even.with_chunks(even.chunks[0], garbage[:16]),
        "tampered",
        released_at_most=16_384,
    )
    after(
        "h061-empty-chunk-of-other",
        "the empty last chunk of another message under the same data key",
        even.with_chunks(even.chunks[0], w.Material(even.m.dek, w.Draw("salt 2").take(24)).chunks(bytes(16_384))[1]),
        "tampered",
        released_at_most=16_384,
    )
    after(
        "h061-zeros",
        "16 zeros instead of the empty last chunk",
        even.with_chunks(even.chunks[0], bytes(16)),
        "tampered",
        released_at_most=16_384,
    )
    after("h062-two-messages", "a message after a message", SMALL.whole + SMALL.whole, "tampered", released_at_most=0)
    after(
        "h062-two-bodies", "a body after a body", SMALL.whole + SMALL.m.body(b"hello"), "tampered", released_at_most=0
    )
    length = 16_384 - 16 - len(SMALL.whole)
    filler = Made("body filler", length + 16 + 8)
    bad(
        "h062-two-messages-length-shows",
        "a message after a message, and the length alone shows it",
        filler.whole + SMALL.whole,
        "truncated",
        expect_stream="tampered",
        released_at_most=0,
    )


def make():
    detached()
    truncated()
    changed()
    extended()
