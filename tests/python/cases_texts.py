"""What people write: key files, and the contexts they present."""

import base64
import hashlib

import kuvert_writer as w
from cases import KEY, KEYS, OTHER, add, full_context, key_line


def key_files():
    def file(name, comment, text, ids=None):
        data = text if isinstance(text, bytes) else text.encode()
        add(
            f"key-file-{name}",
            comment,
            data,
            kind="key-file",
            expect="usage" if ids is None else "ok",
            keys=(),
            key_id=ids or [],
        )

    one, two = key_line(KEY), key_line(OTHER)
    file("one", "one entry", one + "\n", [KEY])
    file("two", "two entries: the first one seals", f"{two}\n{one}\n", [OTHER, KEY])
    file("no-last-newline", "the last line's end is missing", one, [KEY])
    file("crlf", "lines that end with CR LF", f"# keys\r\n\r\n{one}\r\n{two}\r\n", [KEY, OTHER])
    file("mixed-ends", "both sorts of line ends", f"{one}\r\n{two}\n", [KEY, OTHER])
    file("comments", "comments and empty lines", f"#\n# kuvert key file\n\n{one}\n#end", [KEY])
    file("comment-unicode", "a comment in UTF-8", f"# nyckel för säkerhetskopior 🔑\n{one}\n", [KEY])
    file("comment-of-entry", "an entry that is commented out", f"#{two}\n{one}\n", [KEY])
    for name, key_id in (
        ("shortest", "a"),
        ("longest", "x" * 256),
        ("all-characters", "AZaz09._/@-"),
        ("like-a-path", "/etc/../k"),
    ):
        file(f"id-{name}", "an id", w.key_line(key_id, KEYS[KEY]) + "\n", [key_id])
    file("same-key-two-ids", "one key under two ids", f"{one}\n{w.key_line('again', KEYS[KEY])}\n", [KEY, "again"])
    raw, check = KEYS[KEY], hashlib.sha256(b"kuvert-key-v1" + KEY.encode() + KEYS[KEY]).digest()[:4]

    def entry(key_id=KEY, data=None, prefix="kuvert-key-v1"):
        return f"{prefix}:{key_id}:" + (base64.b64encode(raw + check).decode() if data is None else data)

    encoded = base64.b64encode(raw + check).decode()
    urlsafe = next(
        w.key_line("url", w.Draw(f"url {i}").take(32))
        for i in range(99)
        if "/" in w.key_line("url", w.Draw(f"url {i}").take(32)).split(":")[2]
    )
    typo = encoded[:20] + ("A" if encoded[20] != "A" else "B") + encoded[21:]
    for name, comment, text in (
        ("empty", "no bytes", ""),
        ("only-comments", "no entry", "# nothing\n\n"),
        ("only-newlines", "no entry", "\n\n\n"),
        ("typo", "one character mistyped: the check bytes tell", entry(data=typo)),
        ("check-zero", "check bytes of zero", w.key_line(KEY, raw, bytes(4))),
        ("check-of-other-id", "the check bytes cover the id", one.replace(KEY, "backup-2027")),
        ("duplicate", "one entry twice", f"{one}\n{one}\n"),
        ("duplicate-id", "one id with two keys", f"{one}\n{w.key_line(KEY, KEYS[OTHER])}\n"),
        ("id-empty", "an id of no characters", w.key_line("", raw)),
        ("id-257", "an id too long", w.key_line("x" * 257, raw)),
        ("id-blank", "a blank in the id", w.key_line("a b", raw)),
        ("id-colon", "a colon in the id", w.key_line("a:b", raw)),
        ("id-umlaut", "a letter that is not ASCII", w.key_line("schlüssel", raw)),
        ("id-plus", "a plus", w.key_line("a+b", raw)),
        ("version-2", "another version", entry(prefix="kuvert-key-v2")),
        ("no-version", "no version", entry(prefix="kuvert-key")),
        ("upper-case-prefix", "another case", entry(prefix="KUVERT-KEY-V1")),
        ("blank-before", "a blank before the entry", " " + one),
        ("blank-after", "a blank after the entry", one + " \n"),
        ("tab-after", "a tab after the entry", one + "\t\n"),
        ("blank-line", "a line of one blank", f" \n{one}\n"),
        ("comment-indented", "a comment not in column one", f" # x\n{one}\n"),
        ("comment-after-entry", "a comment after the entry", f"{one} # mine\n"),
        ("bom", "a byte order mark", b"\xef\xbb\xbf" + one.encode()),
        ("utf-16", "UTF-16", one.encode("utf-16")),
        ("latin-1-comment", "a comment that is not UTF-8", b"# schl\xfcssel\n" + one.encode()),
        ("cr-only", "CR alone ends no line", f"{one}\r{two}\r"),
        ("cr-at-end", "a CR without LF at the end", one + "\r"),
        ("cr-in-comment", "a CR within a comment", f"# a\rb\n{one}\n"),
        ("nul-at-end", "a NUL after the entry", one + "\0\n"),
        ("47-characters", "one character less", entry(data=encoded[:-1])),
        ("49-characters", "one character more", entry(data=encoded + "A")),
        ("padding", "padding characters", entry(data=encoded[:46] + "==")),
        ("urlsafe", "the other base64 alphabet", urlsafe.replace("/", "_").replace("+", "-")),
        ("hex", "hexadecimal", entry(data=(raw + check).hex())),
        ("no-data", "no key", f"kuvert-key-v1:{KEY}:\n"),
        ("no-id", "a field is missing", f"kuvert-key-v1:{encoded}\n"),
        ("extra-field", "a field too many", one + ":x\n"),
        ("second-line-bad", "a good entry does not save a bad one", f"{one}\nrubbish\n"),
        (
            "age",
            "another program's key file",
            "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ\n",
        ),
    ):
        file(f"bad-{name}", comment, text)


def contexts():
    def case(name, comment, pairs, category=None):
        data = b"" if category else w.context_bytes(dict(pairs))
        add(f"context-{name}", comment, data, kind="context", expect=category or "ok", keys=(), context=pairs)

    case("empty", "no pairs are no bytes", [])
    case("two", "given in another order than that of S", [(b"table", b"users"), (b"id", b"42")])
    case("order", "sorted as bytes", [("é".encode(), b"1"), (b"z", b"2"), (b"Z", b"3"), (b"aa", b"4"), (b"a", b"5")])
    case("empty-value", "a value of no bytes", [(b"a", b"")])
    case("longest-name", "255 bytes", [("é".encode() * 127 + b"x", b"v")])
    case("longest-value", "4096 bytes", [(b"n", b"v" * 4096)])
    case("64-pairs", "the largest count", [(b"%d" % i, b"v") for i in range(64)])
    full = list(full_context().items())
    case("16384-bytes", "the longest serialisation", full)
    case("duplicate", "one name twice", [(b"a", b"1"), (b"a", b"2")], "usage")
    case("duplicate-equal", "one pair twice", [(b"a", b"1"), (b"a", b"1")], "usage")
    case("empty-name", "a name of no bytes", [(b"", b"v")], "usage")
    for name in (b"kuvert:role", b"kuvert:", b"kuvert:whatever", b"aws-crypto-", b"aws-crypto-public-key"):
        case(f"reserved-{name.decode().replace(':', '_')}", "a reserved name", [(name, b"v")], "usage")
    case("65-pairs", "one pair too many", [(b"%d" % i, b"v") for i in range(65)], "limit-exceeded")
    case("name-256", "a name one byte too long", [(b"n" * 256, b"v")], "limit-exceeded")
    case("value-4097", "a value one byte too long", [(b"n", b"v" * 4097)], "limit-exceeded")
    longer = full[:3] + [(b"a3", full[3][1] + b"v")]
    case("16385-bytes", "one byte too long in all", longer, "limit-exceeded")


def make():
    key_files()
    contexts()
