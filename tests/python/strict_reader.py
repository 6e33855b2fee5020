"""The reader of examples/open_without_kuvert.py, taught the form of every stanza type: it can judge all vectors.

The example leaves types other than 0x0001 alone, which is what a rescuer needs; a strict reader must refuse what
cannot be (sections 3, 9 and 15 of the manual).
"""

import importlib.util
import pathlib
import sys
from functools import partial

_PATH = pathlib.Path(__file__).parents[2] / "examples" / "open_without_kuvert.py"
_spec = importlib.util.spec_from_file_location("open_without_kuvert", _PATH)
reader = importlib.util.module_from_spec(_spec)
sys.dont_write_bytecode = True
_spec.loader.exec_module(reader)

Bytes, Failure, require = reader.Bytes, reader.Failure, reader.require
RSA = (0x0003, 0x0004, 0x0011)
PARENT, ALL_OF, PENDING = 0x0020, 0x0040, 0x0041


def check_name(kind, name, params):
    """What id and params can be, for a stanza and for what a pending one wants."""
    if kind in (0x0001, 0x0002, *RSA, ALL_OF):
        require(not params, "params where there are none")
    if kind in (PARENT, ALL_OF):
        require(not name, "an id where there is none")
    if kind == PARENT:
        require(len(params) == 8 and any(params), "a parent's reference")
    if kind == 0x0010:
        params, last = Bytes(params), b""
        for _ in range(params.take(1)[0]):
            pair = params.take(params.take(1)[0])
            require(pair > last and reader.is_utf8(pair), "names of context pairs")
            last = pair
        require(not params.left, "bytes after the names")


def check_wrap(kind, length):
    require(kind not in (0x0001, PARENT) or length == 40, "an AES-KWP wrap")
    require(kind != 0x0002 or length in (60, 64), "an AES-GCM wrap")
    require(kind not in RSA or (256 <= length <= 1024 and length % 8 == 0), "an RSA wrap")


def parse_all_of(wrap):
    nested = Bytes(wrap)
    count = nested.take(1)[0]
    require(2 <= count <= 8, "2 to 8 members")
    members = [reader.parse_stanza(nested) for _ in range(count)]
    require(len(nested.left) == 40, "the wrap after the members")
    return members, count, nested.left


def check_stanza(stanza, kind_of_header):
    kind, name, params, wrap = stanza
    only_public = kind in RSA
    if kind == PENDING:
        require(wrap == b"\0", "a pending stanza's wrap")
        wanted = Bytes(params)
        kind = wanted.u16()
        require(kind not in (ALL_OF, PENDING), "what a pending stanza wants")
        check_name(kind, name, wanted.left)
        only_public = kind in RSA
    else:
        check_name(kind, name, params)
        check_wrap(kind, len(wrap))
    if kind == ALL_OF:
        members, count, _ = parse_all_of(wrap)
        for member in members:
            require(member[0] not in (PARENT, ALL_OF, PENDING), "a type that cannot be a member")
            check_name(*member[:3])
            check_wrap(member[0], len(member[3]))
        require(len({member[:2] for member in members}) == count, "a member twice")
        only_public = all(member[0] in RSA for member in members)
    refused = kind_of_header == reader.ENVELOPE and (only_public or kind == PARENT)
    require(not refused, "a key envelope for somebody who can only wrap")


class Opener(reader.Opener):
    """The example's, with an all-of of AES keys (section 15) that are given as `members`, by name, and with child keys
    (section 14) that are given as `parents`, by reference."""

    members, parents = {}, {}

    def matching(self, stanzas, keys):
        alone = {id(stanza): found for stanza in stanzas for found in super(Opener, self).matching([stanza], keys)}
        found = []
        for stanza in stanzas:
            if id(stanza) in alone:
                found.append(alone[id(stanza)])
            elif stanza[0] == ALL_OF and self.is_configured(stanza[3]):
                found.append((ALL_OF, b"", stanza[3], self.unwrap_all_of))
            elif stanza[0] == PARENT and stanza[2] in self.parents:
                unwrap = partial(reader.aes_key_unwrap_with_padding, self.parents[stanza[2]])
                found.append((PARENT, b"", stanza[3], unwrap))
        return found

    def is_configured(self, wrap):
        """Exactly our members, in any order."""
        shares, _, _ = parse_all_of(wrap)
        return len(shares) == len(self.members) and {share[:2] for share in shares} == {
            (0x0001, name) for name in self.members
        }

    def unwrap_all_of(self, wrap):
        shares, count, wrapped = parse_all_of(wrap)
        together = bytes(32)
        for _, name, _, share in shares:
            share = reader.aes_key_unwrap_with_padding(self.members[name], share)
            together = bytes(one ^ other for one, other in zip(together, share))
        info = reader.label(b"all-of") + bytes([count]) + self.header[:12]
        return reader.aes_key_unwrap_with_padding(reader.expand(together, info, 32), wrapped)
