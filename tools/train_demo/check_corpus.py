#!/usr/bin/env python3
"""Check the training corpus of the demo model: corpus/*.txt.

A file is a list of records with a blank line between them. A record is either

    ### Q: a question            (1 to 6 of these)
    ### A:
    the answer, with ```lang fences where it has code
    ### TEST:                    (optional)
    assert ...

or "### TEXT:" followed by free prose. The checks are:
  - structure: every record has its parts, in order, none of them empty; fences are balanced;
  - characters: valid UTF-8, no tabs, no carriage returns, ASCII quotes only;
  - no question is asked twice in the whole corpus (case and punctuation do not count);
  - every ```python block compiles;
  - every TEST passes against the first ```python block of its answer, in a process of its own
    with a time limit, and fails without that block (or it would test nothing).

The blocks and tests are run as they are, so check only a corpus that you trust.
Exit status: 0 when everything passes, 1 on any failure, 2 on bad usage.
Only the standard library is needed.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

MAX_QUESTIONS = 6
TEST_TIMEOUT_S = 5
USUAL_ANSWER_WORDS = (20, 160)
BAD_QUOTES = "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00b4\u2032\u2033\u00ab\u00bb"
MARKER = re.compile(r"### (Q|A|TEST|TEXT):(.*)$")
NEAR_MARKER = re.compile(r"\s*##+\s*(Q|A|TEST|TEXT)\s*:", re.I)


class Record:
    """One record: where it starts, and its parts as lists of lines."""

    def __init__(self, path, line_no):
        self.path = path
        self.line_no = line_no
        self.questions = []
        self.parts = {}  # "A", "TEST", "TEXT" -> lines

    def where(self):
        return f"{self.path}:{self.line_no}"

    def text(self, part):
        return "\n".join(self.parts.get(part, [])).strip("\n")


def starts_record(kind, record):
    return record is None or kind == "TEXT" or (kind == "Q" and bool(record.parts))


def parse_file(path, text, errors):
    """Split one file into records; what does not fit the format goes to errors."""
    records = []
    record = None
    part = None
    previous = ""
    for line_no, line in enumerate(text.split("\n"), 1):
        match = MARKER.match(line)
        where = f"{path}:{line_no}"
        if match:
            kind, rest = match.group(1), match.group(2).strip()
            if starts_record(kind, record):
                if record is not None and previous.strip():
                    errors.append(f"{where}: no blank line before this record")
                record = Record(path, line_no)
                records.append(record)
                part = None
            if kind == "Q":
                record.questions.append(rest)
            else:
                if kind in record.parts:
                    errors.append(f"{where}: a second '### {kind}:' in one record")
                if rest and kind != "TEXT":
                    errors.append(f"{where}: text on the line of '### {kind}:'")
                if kind == "TEST" and "A" not in record.parts:
                    errors.append(f"{where}: '### TEST:' without an answer before it")
                part = kind
                record.parts[kind] = [rest] if rest else []
        elif NEAR_MARKER.match(line):
            errors.append(f"{where}: a marker that is not spelled right: {line[:40]}")
        elif part is not None:
            record.parts[part].append(line)
        elif line.strip():
            errors.append(f"{where}: text that belongs to no record: {line[:40]}")
        previous = line
    return records


def check_characters(path, text, errors):
    for line_no, line in enumerate(text.split("\n"), 1):
        if "\r" in line or "\t" in line:
            errors.append(f"{path}:{line_no}: a tab or a carriage return")
        if any(c in BAD_QUOTES for c in line):
            errors.append(f"{path}:{line_no}: a quote that is not ASCII")
        if "\ufeff" in line or "\ufffd" in line:
            errors.append(f"{path}:{line_no}: a byte order mark or a replacement character")


def check_structure(record, errors):
    where = record.where()
    if "TEXT" in record.parts:
        if record.questions or len(record.parts) > 1:
            errors.append(f"{where}: a TEXT record with other parts")
        if not record.text("TEXT").strip():
            errors.append(f"{where}: empty TEXT")
        return
    if not record.questions:
        errors.append(f"{where}: no question")
    if len(record.questions) > MAX_QUESTIONS:
        errors.append(f"{where}: {len(record.questions)} questions, at most {MAX_QUESTIONS}")
    if any(not question for question in record.questions):
        errors.append(f"{where}: an empty question")
    if not record.text("A").strip():
        errors.append(f"{where}: no answer")
    fences = sum(line.lstrip().startswith("```") for line in record.parts.get("A", []))
    if fences % 2:
        errors.append(f"{where}: a code fence is not closed")
    if "TEST" in record.parts and not re.search(r"^ *assert ", record.text("TEST"), re.M):
        errors.append(f"{where}: a TEST without an assert")


def python_blocks(answer):
    return re.findall(r"^```python\n(.*?)^```", answer + "\n", re.M | re.S)


def run_program(program):
    """Run a program in an empty folder; None when it passes, else one line that says why not."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-c", program], cwd=folder, timeout=TEST_TIMEOUT_S,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                check=False)
        except subprocess.TimeoutExpired:
            return f"ran longer than {TEST_TIMEOUT_S} s"
    if done.returncode == 0:
        return None
    trace = done.stderr.decode("utf-8", "replace").strip()
    found = re.search(r'File "<string>", line (\d+)', trace)
    source = program.split("\n")[int(found.group(1)) - 1].strip() if found else ""
    return f"{trace.split(chr(10))[-1] or 'exit status %d' % done.returncode} [{source}]"


def check_python(record, errors):
    """Compile every block and run the test; return the number of tests run."""
    where = record.where()
    blocks = python_blocks(record.text("A"))
    for block in blocks:
        try:
            compile(block, where, "exec")
        except SyntaxError as problem:
            errors.append(f"{where}: a python block does not compile: {problem}")
    if "TEST" not in record.parts:
        return 0
    if not blocks:
        errors.append(f"{where}: a TEST, but no python block in the answer")
        return 0
    test = record.text("TEST") + "\n"
    failure = run_program(blocks[0] + "\n" + test)
    if failure:
        errors.append(f"{where}: TEST failed: {failure}")
    elif run_program(test) is None:
        errors.append(f"{where}: TEST passes without the answer, so it tests nothing")
    return 1


def normalise_question(question):
    return " ".join(re.sub(r"[^\w+*/%<>=&|^#-]", " ", question.lower()).split())


def check_duplicates(records, errors):
    seen = {}
    for record in records:
        for question in record.questions:
            key = normalise_question(question)
            if key in seen:
                errors.append(f"{record.where()}: question also asked at {seen[key]}: {question}")
            else:
                seen[key] = record.where()


def print_counts(rows):
    names = ("file", "records", "questions", "texts", "tests", "unusual", "bytes")
    total = ["total"] + [sum(row[i] for row in rows) for i in range(1, len(names))]
    width = max(len(str(row[0])) for row in rows + [total])
    for row in [names] + rows + [total]:
        print(f"{row[0]:<{width}}" + "".join(f"{cell:>10}" for cell in row[1:]))
    low, high = USUAL_ANSWER_WORDS
    print(f"(unusual: answers outside {low} to {high} words; counted, not refused)")


def check_file(path, errors):
    """Check one file; return its records and its row of counts."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as problem:
        errors.append(f"{path}: not UTF-8: {problem}")
        return [], (path.name, 0, 0, 0, 0, 0, len(data))
    check_characters(path, text, errors)
    records = parse_file(path, text, errors)
    if not records:
        errors.append(f"{path}: no records")
    tests = unusual = 0
    low, high = USUAL_ANSWER_WORDS
    for record in records:
        check_structure(record, errors)
        tests += check_python(record, errors)
        if "A" in record.parts and not low <= len(record.text("A").split()) <= high:
            unusual += 1
    questions = sum(len(record.questions) for record in records)
    texts = sum("TEXT" in record.parts for record in records)
    return records, (path.name, len(records), questions, texts, tests, unusual, len(data))


def main():
    parser = argparse.ArgumentParser(description="Check the training corpus of the demo model.")
    parser.add_argument("files", nargs="*", type=Path,
                        help="files to check (default: every corpus/*.txt beside this script)")
    args = parser.parse_args()
    files = args.files or sorted((Path(__file__).resolve().parent / "corpus").glob("*.txt"))
    if not files:
        print("check_corpus: no files to check", file=sys.stderr)
        return 1
    errors, rows, records = [], [], []
    for path in files:
        try:
            found, row = check_file(path, errors)
        except OSError as problem:
            errors.append(f"{path}: {problem.strerror}")
            continue
        records += found
        rows.append(row)
    check_duplicates(records, errors)
    if rows:
        print_counts(rows)
    for error in errors:
        print(f"check_corpus: {error}", file=sys.stderr)
    print("FAILED: %d problems" % len(errors) if errors else "ok")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
