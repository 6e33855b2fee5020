"""The vector files of the manual's section 17: text lines `name: value`, an empty line, the input's bytes."""

FIRST = "kuvert-vector"


def encode(fields, data):
    """`fields` is a list of (name, value); True becomes `true`."""
    lines = [f"{FIRST}: 1"]
    for name, value in fields:
        text = "true" if value is True else str(value)
        assert "\n" not in text and ":" not in name, name
        lines.append(f"{name}: {text}")
    return "\n".join(lines).encode() + b"\n\n" + data


class Vector:
    """A vector file taken apart."""

    def __init__(self, raw):
        head, empty_line, self.data = raw.partition(b"\n\n")
        assert empty_line, "a vector has an empty line before its input"
        self.fields = [tuple(line.split(": ", 1)) for line in head.decode().split("\n")]
        assert self.fields[0] == (FIRST, "1"), "not a vector"

    def all(self, name):
        return [value for found, value in self.fields if found == name]

    def one(self, name, default=None):
        values = self.all(name)
        assert len(values) <= 1, f"{name} is there twice"
        return values[0] if values else default

    def number(self, name, default=None):
        value = self.one(name)
        return default if value is None else int(value)

    def flag(self, name):
        return self.one(name) == "true"

    def context(self):
        """A list of (name, value), as it is presented."""
        pairs = []
        for name, value in self.fields:
            if name == "context":
                pairs.append(tuple(part.encode() for part in value.split("=", 1)))
            elif name == "context-hex":
                pairs.append(tuple(bytes.fromhex(part) for part in value.split("=", 1)))
        return pairs

    def parts(self):
        return [
            bytes.fromhex(value) if name == "part-hex" else value.encode()
            for name, value in self.fields
            if name in ("part", "part-hex")
        ]
