#!/usr/bin/env python3
"""Makes tests/vectors/*.kvv, byte for byte the same every time, and runs the Python reader over each.

make_vectors.py            writes what is missing; a vector that exists with other bytes is an error
make_vectors.py --force    replaces such ones: only before their release, a released vector is never edited
make_vectors.py --check    writes nothing, fails if a file is missing, different, or of no case
make_vectors.py --example  prints the worked example that the manual's section 18 holds
"""

import pathlib
import sys
import traceback

import cases
import cases_all_of
import cases_body
import cases_envelopes
import cases_header
import cases_ok
import cases_records
import cases_rewrap
import cases_slots
import cases_subjects
import cases_texts
import worked_example
from check_vectors import check

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "vectors"
MODULES = (
    cases_ok,
    cases_header,
    cases_slots,
    cases_body,
    cases_envelopes,
    cases_records,
    cases_texts,
    cases_all_of,
    cases_rewrap,
    cases_subjects,
)
MANUAL = ROOT / "src" / "manual" / "format.md"


def main(words):
    if "--example" in words:
        print(worked_example.make(), end="")
        return 0
    for module in MODULES:
        module.make()
    faults = []
    worked_example.check_primitives()
    if worked_example.make() not in MANUAL.read_text():
        faults.append("the manual's section 18 is not what worked_example.py makes")
    for name, raw in cases.VECTORS.items():
        try:
            check(raw)
        except Exception as error:  # a crash of the reader is a finding too
            where = "" if isinstance(error, AssertionError) else traceback.format_exc()
            faults.append(f"{name}: the Python reader disagrees: {error} {where}")
    present = {path.stem: path.read_bytes() for path in FOLDER.glob("*.kvv")}
    for name in sorted(cases.VECTORS.keys() | present.keys()):
        made, found = cases.VECTORS.get(name), present.get(name)
        if made == found:
            continue
        if made is None:
            faults.append(f"{name}: a file that no case makes")
        elif "--check" in words:
            faults.append(f"{name}: {'missing' if found is None else 'other bytes than the case makes'}")
        elif found is not None and "--force" not in words:
            faults.append(f"{name}: exists with other bytes")
        elif not faults:
            FOLDER.mkdir(exist_ok=True)
            (FOLDER / f"{name}.kvv").write_bytes(made)
    size = sum(map(len, cases.VECTORS.values()))
    print(f"{len(cases.VECTORS)} vectors, {size} bytes, {len(faults)} faults")
    for fault in faults[:40]:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main(sys.argv[1:]))
