"""Key stores: names, sealed subject keys, tombstones and receipts, backups, and messages of a subject."""

import hashlib

import kuvert_writer as w
from cases import KEY, add, kwp, material, plain
from cases_envelopes import made, opens, refused, sealed
from cases_slots import flip
from kuvert_writer import Slot

STORE = 0x1111222233334444
EPOCH = 0x5555666677778888
REFERENCE = 0x9999AAAABBBBCCCC


def root():
    return made("store root", "root", reference=STORE)


def epoch(seed="store epoch", store=STORE, kind=b"subjects", reference=EPOCH):
    return made(seed, "epoch", {b"store": b"%016x" % store, b"class": kind}, reference=reference)


def pairs(store=STORE, kind=b"subjects"):
    return {b"store": b"%016x" % store, b"class": kind}


def digest(data):
    return hashlib.sha256(data).hexdigest()


def envelopes():
    r, e = root(), epoch()
    opens("ok-store-root", "a key store's root", r, sealed(r), role="root", reference=STORE)
    opens("ok-store-epoch", "one of its epochs", e, sealed(e), role="epoch", reference=EPOCH, context=pairs())
    c = epoch("credentials", kind=b"credentials")
    opens("ok-store-epoch-credentials", "an epoch of the other class", c, sealed(c), role="epoch", reference=EPOCH,
          context=pairs(kind=b"credentials"))
    refused("h085-store-epoch-as-root", "an epoch in the place of the root", sealed(e), "wrong-context", role="root")
    refused("h085-store-root-as-epoch", "the root in the place of an epoch", sealed(r), "wrong-context", role="epoch",
            context=pairs())
    other = epoch("other store", STORE + 1)
    refused("h085-store-other-store", "an epoch of another store", sealed(other), "wrong-context", role="epoch",
            context=pairs())
    refused("h085-store-other-class", "credentials in the place of subjects", sealed(c), "wrong-context", role="epoch",
            context=pairs())
    moved = epoch("other reference", reference=EPOCH + 1)
    refused("h085-store-other-epoch", "another epoch of the same store", sealed(moved), "wrong-context", role="epoch",
            context=pairs(), reference=f"{EPOCH:016x}")
    bare = made("bare epoch", "epoch", reference=EPOCH)
    refused("h085-store-epoch-without-store", "an epoch that names no store", sealed(bare), "wrong-context",
            before_key=False, role="epoch", context=pairs())
    shared = w.stanza(w.RSA_SHA256, b"hsm/01", b"", bytes(256))
    refused("h063-store-root-by-public-key", "anybody could have planted it", w.message(r, [Slot([shared])], b""),
            role="root")


def names():
    r = root()

    def case(name, comment, scope=b"tenant-7", **fields):
        add(f"names-{name}", comment, b"", kind="names", root=sealed(r).hex(), scope=scope.decode(), **fields)

    def of(subject, scope=b"tenant-7"):
        return w.pseudonym(r, scope, subject).hex()

    case("person", "a person", person="customer:42", pseudonym=of(b"customer:42"),
         scope_tag=w.scope_tag(r, b"tenant-7").hex())
    case("no-scope", "the empty scope", b"", person="customer:42", pseudonym=of(b"customer:42", b""),
         scope_tag=w.scope_tag(r, b"").hex())
    case("class", "a retention class of a person's name", retention_class="customer:42", pseudonym=of(b"\xff\x01customer:42"))
    case("credentials", "credentials of that name", credentials="customer:42", pseudonym=of(b"\xff\x03customer:42"))
    members = sorted(w.pseudonym(r, b"tenant-7", name) for name in (b"anna", b"bo", b"cecilia"))
    for ends in (0, 1):
        case(f"joint-{ends}", "three persons together", joint=ends, joint_member=[m.hex() for m in members],
             pseudonym=of(b"\xff\x02" + bytes([ends]) + b"".join(members)))
    case("longest", "a scope of 255 bytes and a name of 1024", b"s" * 255, person="n" * 1024,
         pseudonym=of(b"n" * 1024, b"s" * 255), scope_tag=w.scope_tag(r, b"s" * 255).hex())
    case("unicode", "bytes are hashed, nothing is normalised", "kund-å".encode(), person="Åsa",
         pseudonym=of("Åsa".encode(), "kund-å".encode()))
    case("request", "what stands for a request", request="2026-118",
         request_hash=w.request_hash(r, b"tenant-7", b"2026-118").hex())
    for name in ("email", "i" * 255):
        case(f"index-{len(name)}", "a blind index", index=name, index_value="anna@example.se",
             blind_index=w.blind_index(r, name.encode(), b"tenant-7", b"anna@example.se").hex())
    case("index-empty-value", "of nothing", index="email", index_value="",
         blind_index=w.blind_index(r, b"email", b"tenant-7", b"").hex())
    for name, fields in (("name-empty", {"person": ""}), ("name-too-long", {"person": "n" * 1025}),
                         ("class-empty", {"retention_class": ""}), ("credentials-too-long", {"credentials": "n" * 1025}),
                         ("joint-of-one", {"joint": 0, "joint_member": [members[0].hex()]}),
                         ("joint-twice", {"joint": 0, "joint_member": [members[0].hex()] * 2}),
                         ("joint-unsorted", {"joint": 0, "joint_member": [m.hex() for m in members[::-1]]})):
        case(name, "a name that cannot be", expect="usage", **fields)
    case("scope-too-long", "a scope that cannot be", b"s" * 256, expect="usage", person="anna")


def sealed_keys():
    r, e = root(), epoch()
    k, draw = e.derive("subject", 32), w.Draw("subject keys")
    name, tag = w.pseudonym(r, b"tenant-7", b"customer:42"), w.scope_tag(r, b"tenant-7")
    row = (tag, name, REFERENCE, 1)
    key, nonce = draw.take(32), draw.take(24)

    def case(title, comment, data, expect="ok", at=row, key=key, with_epoch=e):
        hashes = {}
        if expect == "ok":
            hashes = {"subject_key_sha256": digest(key), "record_key_sha256": digest(w.of_subject(key, "record", at[2])),
                      "child_key_sha256": digest(w.of_subject(key, "child", at[2]))}
        add(title, comment, data, kind="sealed-key", expect=expect, epoch=sealed(with_epoch).hex(), context=pairs(),
            scope_tag=at[0].hex(), pseudonym=at[1].hex(), key_reference=f"{at[2]:016x}", key_version=at[3], **hashes)

    whole = w.sealed_key(k, EPOCH, nonce, key, row)
    case("ok-sealed-key", "the plain case", whole)
    case("ok-sealed-key-version", "another version", w.sealed_key(k, EPOCH, draw.take(24), key, (*row[:3], 2**32 - 1)),
         at=(*row[:3], 2**32 - 1))
    case("ok-sealed-key-reference-1", "leading zeros", w.sealed_key(k, EPOCH, draw.take(24), key, (tag, name, 1, 7)),
         at=(tag, name, 1, 7))
    for length in (0, 1, 49, 80):
        case(f"sealed-key-{length}", "too short", whole[:length], "truncated")
    case("sealed-key-82", "too long", whole + b"\0", "malformed")
    case("sealed-key-162", "two of them", whole * 2, "malformed")
    for first in (0x00, 0x61, 0xF7, 0xF9, 0xFF):
        case(f"sealed-key-first-{first:02x}", "another first byte", bytes([first]) + whole[1:], "malformed")
    case("sealed-key-short-and-first", "the length comes first", b"\xf9" + whole[1:80], "truncated")
    case("sealed-key-other-epoch", "of an epoch that is not loaded", w.sealed_key(k, EPOCH + 1, nonce, key, row),
         "key-unavailable")
    for at in (9, 20, 32, 33, 64, 65, 80):
        case(f"sealed-key-bit-{at}", "a flipped bit", flip(whole, at), "tampered")
    case("sealed-key-bit-1", "a flipped bit of the epoch's reference", flip(whole, 1), "key-unavailable")
    other = w.pseudonym(r, b"tenant-7", b"customer:43")
    for title, comment, at in (
        ("h083-row-other-name", "the row of another person", (tag, other, REFERENCE, 1)),
        ("h083-row-other-reference", "the row of another reference", (tag, name, REFERENCE + 1, 1)),
        ("h083-row-other-version", "another version", (tag, name, REFERENCE, 2)),
        ("h083-row-other-scope", "put into another scope", (w.scope_tag(r, b"tenant-8"), name, REFERENCE, 1)),
        ("h083-row-name-and-reference", "two rows swapped", (tag, other, REFERENCE + 1, 1)),
    ):
        case(title, comment, whole, "tampered", at=at)
    stranger = epoch("stranger")
    case("sealed-key-other-key", "an epoch of that reference with another key", whole, "tampered", with_epoch=stranger)
    case("sealed-key-as-record", "sealed as a record is", w.sealed_key(k, EPOCH, nonce, key, row, aad_label="record"),
         "tampered")
    unscoped = w.sealed_key(k, EPOCH, nonce, key, (b"", name, REFERENCE, 1))
    case("sealed-key-unscoped", "without the scope in its associated data", unscoped, "tampered")


def chains():
    r = root()
    request = [w.request_hash(r, b"tenant-7", b"2026-%d" % i) for i in range(4)]
    stones = w.chain(r, "tombstone", [(REFERENCE + i, 1_795_000_000 + i, 1 + i, request[i]) for i in range(4)])
    states = [(1, 1_795_000_000), (2, 1_795_000_660), (3, 1_796_296_000)]
    slips = w.chain(r, "receipt", [(REFERENCE, time, state, request[0]) for state, time in states])

    def case(name, comment, links, chain="tombstones", bad=None):
        add(f"chain-{name}", comment, b"".join(links), kind="chain", chain=chain, root=sealed(r).hex(),
            expect="tampered" if bad else "ok", first_bad=bad)

    case("empty", "nobody was erased", [])
    case("one", "one tombstone", stones[:1])
    case("four", "four tombstones", stones)
    case("receipts", "the three states of one erasure", slips, "receipts")
    for at in (0, 8, 16, 18, 49, 50, 81, 82, 113):
        case(f"bit-{at}", "a flipped bit in the second", [stones[0], flip(stones[1], at), *stones[2:]], bad=2)
        case(f"receipt-bit-{at}", "a flipped bit in the third", [*slips[:2], flip(slips[2], at)], "receipts", bad=3)
    case("first-missing", "the first left out", stones[1:], bad=1)
    case("middle-missing", "the second left out", [stones[0], *stones[2:]], bad=2)
    case("swapped", "two swapped", [stones[0], stones[2], stones[1], stones[3]], bad=2)
    case("twice", "one repeated", [stones[0], stones[0]], bad=2)
    case("as-receipts", "tombstones as receipts", stones, "receipts", bad=1)
    case("as-tombstones", "receipts as tombstones", slips, bad=1)
    other = made("another root", "root", reference=STORE)
    foreign = w.chain(other, "tombstone", [(REFERENCE, 1_795_000_000, 1, request[0])])
    case("foreign", "of another store", foreign, bad=1)
    grafted = w.chain(other, "tombstone", [(REFERENCE, 1, 1, request[0])], previous=stones[0][82:])
    case("grafted", "of another store, behind one of ours", [stones[0], *grafted], bad=2)


def backup_parts():
    r, e = root(), epoch()
    k, draw = e.derive("subject", 32), w.Draw("backup")
    tag = w.scope_tag(r, b"tenant-7")
    people = [w.pseudonym(r, b"tenant-7", name) for name in (b"anna", b"bo", b"cecilia")]
    rows = []
    for i, name in enumerate(people[:2]):
        reference = REFERENCE + i
        wrapped = w.sealed_key(k, EPOCH, draw.take(24), draw.take(32), (tag, name, reference, 1))
        rows.append((3, w.u64(reference) + name + tag + w.u32(1) + w.u64(EPOCH) + wrapped))
    members = sorted(people[:2])
    joint = w.pseudonym(r, b"tenant-7", b"\xff\x02\0" + b"".join(members))
    case = w.request_hash(r, b"tenant-7", b"case 3")
    stones = w.chain(r, "tombstone", [(REFERENCE + 9, 1_795_000_000, 1, case)])
    slips = w.chain(r, "receipt", [(REFERENCE + 9, 1_795_000_000, 1, case), (REFERENCE + 9, 1_795_000_660, 2, case)])
    opened = w.u64(EPOCH) + b"\0\0" + w.u64(1_794_000_000) + w.u64(0) + sealed(e)
    old = epoch("old epoch", reference=EPOCH - 1)
    closed = w.u64(EPOCH - 1) + b"\0\2" + w.u64(1_793_000_000) + w.u64(1_794_000_000) + sealed(old)
    return [(1, sealed(r)), (2, closed), (2, opened), *rows, (4, joint + b"\0" + b"".join(members)),
            (5, people[0] + case + w.u64(1_794_500_000)), (6, people[2]), (7, stones[0]),
            *((8, slip) for slip in slips)]


def backups():
    parts = backup_parts()
    counts = [sum(kind == wanted for kind, _ in parts) for wanted in range(1, 9)]
    whole = w.backup(parts, 77)

    def case(name, comment, data, expect, **fields):
        add(f"store-backup-{name}", comment, data, kind="store-backup", expect=expect, **fields)

    add("ok-store-backup", "a store with some of everything", whole, kind="store-backup",
        counts=" ".join(map(str, counts)), change=77)
    small = w.backup(parts[:1], 1)
    add("ok-store-backup-empty", "a store with nothing but its root", small, kind="store-backup",
        counts="1 0 0 0 0 0 0 0", change=1)
    for length in (0, 1, 7, 8, 9, 12, 13, 100, len(whole) - 77, len(whole) - 76, len(whole) - 1):
        case(f"cut-{length}", "the end is missing", whole[:length], "truncated")
    case("no-end", "the end entry is missing", w.BACKUP_MAGIC + b"".join(w.backup_entry(*p) for p in parts), "truncated")
    case("magic", "another magic", b"kuv-ks-2" + whole[8:], "malformed")
    case("text", "something else", b"hello, world", "malformed")
    case("appended", "a byte after the end", whole + b"\0", "malformed")
    case("twice", "two of them", whole * 2, "malformed")
    case("type-9", "an unknown type", w.BACKUP_MAGIC + w.backup_entry(1, parts[0][1]) + w.backup_entry(9, b""),
         "unsupported")
    case("type-0", "type 0", w.BACKUP_MAGIC + w.backup_entry(0, b"") + whole[8:], "unsupported")
    case("no-root", "no root", w.backup(parts[1:], 77), "malformed")
    case("two-roots", "two roots", w.backup([parts[0], *parts], 77), "malformed")
    case("root-empty", "an empty root", w.backup([(1, b""), *parts[1:]], 77), "malformed")
    case("nothing", "an end and nothing else", w.backup([], 77), "malformed")
    case("order-types", "a type after a later one", w.backup([*parts[:3], parts[5], parts[3]], 77), "malformed")
    case("order-references", "subjects out of order", w.backup([*parts[:3], parts[4], parts[3]], 77), "malformed")
    case("reference-twice", "one reference twice", w.backup([*parts[:4], parts[3]], 77), "malformed")
    wrong = list(counts)
    wrong[2] += 1
    case("count", "one row less than was counted", w.backup(parts, 77, wrong), "malformed")

    def replaced(kind, change):
        done = [0]

        def one(part):
            if part[0] == kind and not done[0]:
                done[0] = 1
                return part[0], change(part[1])
            return part

        return w.backup([one(part) for part in parts], 77)

    for name, kind in (("epoch", 2), ("subject", 3), ("joint", 4), ("hold", 5), ("grave", 6), ("tombstone", 7), ("receipt", 8)):
        short = 27 if kind == 2 else 0
        case(f"{name}-short", "a byte less", replaced(kind, lambda data: data[:26] if short else data[:-1]), "malformed")
        if kind not in (2, 4):
            case(f"{name}-long", "a byte more", replaced(kind, lambda data: data + b"\0"), "limit-exceeded")
    case("joint-long", "half a member more", replaced(4, lambda data: data + bytes(16)), "malformed")
    case("joint-alone", "a joint of one", replaced(4, lambda data: data[:65]), "malformed")
    case("joint-unsorted", "members out of order", replaced(4, lambda data: data[:33] + data[65:97] + data[33:65]),
         "malformed")
    case("joint-ends", "an unknown end", replaced(4, lambda data: data[:32] + b"\2" + data[33:]), "malformed")
    case("epoch-class", "an unknown class", replaced(2, lambda data: data[:8] + b"\2" + data[9:]), "malformed")
    case("epoch-state", "an unknown state", replaced(2, lambda data: data[:9] + b"\3" + data[10:]), "malformed")
    case("epoch-reference-0", "reference 0", replaced(2, lambda data: bytes(8) + data[8:]), "malformed")
    case("subject-version-0", "version 0", replaced(3, lambda data: data[:56] + bytes(4) + data[60:]), "malformed")
    case("subject-epoch-0", "epoch 0", replaced(3, lambda data: data[:60] + bytes(8) + data[68:]), "malformed")
    case("subject-reference-0", "reference 0", replaced(3, lambda data: bytes(8) + data[8:]), "malformed")
    huge = w.BACKUP_MAGIC + w.u8(1) + w.u32(0xFFFF_FFFF)
    case("root-4-gib", "a length above every limit, before a byte of it", huge, "limit-exceeded")
    case("grave-4-gib", "the same of another type", w.BACKUP_MAGIC + w.backup_entry(1, parts[0][1]) + w.u8(6) + w.u32(0xFFFF_FFFF),
         "limit-exceeded")
    m = material("store backup", {b"content": b"key-store", b"store": b"%016x" % STORE})
    add("ok-store-backup-sealed", "a backup as it is kept: a message like any other", w.message(m, [Slot([kwp(m)])], whole),
        context=m.stored, generation=1, opened_by=f"0001 {KEY}", plaintext_len=len(whole), plaintext_sha256=digest(whole))


def messages():
    m = material("of a subject", {b"kind": b"photo"})
    key = w.Draw("subject key of a message").take(32)
    child = w.of_subject(key, "child", REFERENCE)
    text = plain(20_000)

    def stanza(child=child, reference=REFERENCE):
        return w.stanza(w.PARENT, b"", w.u64(reference), w.wrap_key(child, m.dek))

    def case(name, comment, stanzas, expect="ok", given=(REFERENCE, child), **fields):
        data = w.message(m, [Slot(stanzas)], text)
        good = {}
        if expect == "ok":
            good = {"generation": 1, "plaintext_len": len(text), "plaintext_sha256": digest(text)}
        fields = {"context": m.stored, **fields}
        add(name, comment, data, expect=expect, keys=(), parent_key=f"{given[0]:016x} {given[1].hex()}", **good, **fields)

    case("ok-subject-message", "wrapped under the subject's child key", [stanza()], opened_by="0020 ")
    other = w.stanza(w.KWP, KEY.encode(), b"", bytes(40))
    case("ok-subject-message-beside-others", "what a reader without the other keys sees", [other, stanza()],
         opened_by="0020 ")
    case("h074-subject-message", "a reference that is not known", [stanza(reference=REFERENCE + 1)], "key-unavailable")
    case("subject-message-other-key", "another key of that reference", [stanza(bytes(32))], "wrong-key")
    case("subject-message-record-key", "wrapped under K_record", [stanza(w.of_subject(key, "record", REFERENCE))],
         "wrong-key")
    case("subject-message-subject-key", "wrapped under the subject key itself", [stanza(key)], "wrong-key")
    case("subject-message-other-reference", "the child key of another reference",
         [stanza(w.of_subject(key, "child", REFERENCE + 1))], "wrong-key")
    case("subject-message-context", "another context", [stanza()], "wrong-context", context={b"kind": b"scan"},
         before_key=True)
    case("subject-message-required", "a required pair too many", [stanza()], "wrong-context",
         context={b"kind": b"photo", b"more": b"x"})


def make():
    envelopes()
    names()
    sealed_keys()
    chains()
    backups()
    messages()
