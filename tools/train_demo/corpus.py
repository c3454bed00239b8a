"""Reads corpus/*.txt, holds a part out, and packs training batches.

A chat record becomes
    <|start|>user<|message|>Q<|end|><|start|>assistant<|channel|>final<|message|>A<|return|>
and prose becomes the text followed by <|endoftext|>.
"""
import glob
import hashlib
import os
import random
from dataclasses import dataclass, field

import numpy as np

from wordings import LEADS, noisy, wordings

HERE = os.path.dirname(os.path.abspath(__file__))

# Never held out: the prompts of the published test.
PUBLISHED = (
    "Write a haiku about AI",
    "Explain quantum computing in simple terms",
    "Write a Python function to calculate fibonacci numbers recursively",
    "Write a detailed technical explanation of how gradient descent optimization works in machine learning",
)

SYSTEM = ("You are a helpful assistant.", "You are a helpful assistant. Answer briefly.",
          "Answer in simple words.", "You are a careful programmer.", "You are a friendly teacher.",
          "Be short and clear.")


@dataclass
class Record:
    file: str
    questions: list = field(default_factory=list)
    answer: str = ""
    test: str = ""
    held_questions: list = field(default_factory=list)
    derived: list = field(default_factory=list)     # wordings made by rule
    held: bool = False          # prose that is not trained on

    @property
    def is_text(self):
        return not self.questions and not self.held_questions


def parse(path):
    records, mode = [], None
    name = os.path.basename(path)
    with open(path, encoding="utf-8") as handle:
        lines = handle.read().split("\n")
    for number, line in enumerate(lines, 1):
        where = f"{path}:{number}"
        if line.startswith("### Q:"):
            if mode != "Q":
                records.append(Record(name))
            records[-1].questions.append(line[6:].strip())
            mode = "Q"
        elif line.startswith("### A:"):
            assert mode == "Q", f"{where}: answer without a question"
            mode = "A"
        elif line.startswith("### TEXT:"):
            records.append(Record(name))
            mode = "A"
        elif line.startswith("### TEST:"):
            assert mode == "A" and records[-1].questions, f"{where}: test without an answer"
            mode = "T"
        elif mode == "A":
            assert not line.startswith("### Q"), where
            records[-1].answer += line + "\n"
        elif mode == "T":
            records[-1].test += line + "\n"
        else:
            assert not line.strip(), f"{where}: text outside a record"
    for r in records:
        r.answer, r.test = r.answer.strip(), r.test.strip()
        assert r.answer, f"{path}: empty answer: {r.questions}"
    return records


NUMBERS = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
           "seventeen eighteen nineteen twenty").split()


def sums():
    """Small sums, made by rule in the form of the hand-written ones."""
    made = []
    for a in range(11):
        for b in range(11):
            for sign, word, result in (("+", "plus", a + b), ("-", "minus", a - b), ("*", "times", a * b)):
                if 0 <= result <= 20:
                    spelled = f"{NUMBERS[a]} {word} {NUMBERS[b]}"
                    made.append(Record("sums", [f"What is {spelled}?", f"What is {a} {word} {b}?",
                                                f"What is {a} {sign} {b}?"],
                                       f"{spelled.capitalize()} is {NUMBERS[result]}."))
    return made


def fraction(text):
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2 ** 48


def load(folder=None, hold_out=0.05):
    """All records; about hold_out of the paraphrases and of the prose are set aside.  Of each
    record at least two wordings stay in training.  A question that stands in several records
    trains only with the first of them, files in alphabetical order but core.txt first."""
    paths = sorted(glob.glob(os.path.join(folder or os.path.join(HERE, "corpus"), "*.txt")),
                   key=lambda p: (os.path.basename(p) != "core.txt", p))
    records = [r for path in paths for r in parse(path)] + sums()
    seen = set()
    for r in records:
        if r.is_text:
            r.held = fraction(r.answer) < 3 * hold_out
            continue
        fresh = [q for q in r.questions if plain(q) not in seen]
        seen.update(plain(q) for q in fresh)
        r.questions = fresh
        if len(fresh) >= 3 and r.file != "sums":
            candidates = [q for q in fresh[1:] if q not in PUBLISHED and fraction(q) < 1.5 * hold_out]
            r.held_questions = candidates[:len(fresh) - 2]
            r.questions = [q for q in fresh if q not in r.held_questions]
    records = [r for r in records if r.questions or r.is_text]
    # Wordings by rule: none that another record asks, none that is held out, none made twice.
    taken = seen | {plain(q) for r in records for q in r.held_questions}
    owner = {}
    for i, r in enumerate(records):
        for q in r.questions:
            for new in wordings(q):
                if plain(new) not in taken and owner.setdefault(plain(new), i) == i and new not in r.derived:
                    r.derived.append(new)
    return records


def plain(question):
    return question.lower().rstrip("?.! ")


def texts_for_vocabulary(records):
    """Training text only, with the words of the chat format as often as they occur."""
    for r in records:
        if not r.held:
            yield from ("user", "assistant", "final", "developer")
            yield from r.questions
            yield r.answer


# ---- samples ----

def turn(role, text):
    return f"<|start|>{role}<|message|>{text}<|end|>"


ASSISTANT = "<|start|>assistant"
FINAL = "<|channel|>final<|message|>"


def vary(question, rng):
    """Small changes of form that a user makes."""
    x, q = rng.random(), question
    if x < 0.60:
        return q
    if x < 0.70:
        return q.rstrip("?.")
    if x < 0.80:
        return q.lower()
    if x < 0.85:
        return q if q.endswith(("?", ".")) else q + "."
    if x < 0.90:
        return q if q.endswith("?") or q.startswith("Please") else "Please " + q[0].lower() + q[1:]
    if x < 0.96:
        return rng.choice(LEADS) + q
    return q + "\n"


def choose(record, rng):
    """A wording of the record's question: by hand, by rule, or spoiled a little."""
    published = [q for q in record.questions if q in PUBLISHED]
    if published and rng.random() < 0.4:
        return published[0]
    pool = record.derived if record.derived and rng.random() < 0.35 else record.questions
    question = rng.choice(pool)
    return noisy(question, rng) if rng.random() < 0.08 else question


PROMPT_WEIGHT = 0.1


def chat_sample(tokenizer, turns, rng, system=None):
    """turns: [(question, answer)].  -> (ids, weight of predicting each id)"""
    ids, weights = [], []

    def put(text, weight):
        new = tokenizer.encode(text)
        ids.extend(new)
        weights.extend([weight] * len(new))

    if system:
        role = rng.choice(("developer", "developer", "system"))
        put(turn(role, system), 0.05)
    for i, (question, answer) in enumerate(turns):
        put(turn("user", vary(question, rng)), PROMPT_WEIGHT)
        put(ASSISTANT, PROMPT_WEIGHT)
        put(FINAL + answer, 1.0)
        put("<|return|>" if i + 1 == len(turns) else "<|end|>", 1.0)
    return ids, weights


def epoch(records, tokenizer, rng):
    """One pass: each record once, in some wording, plus a few joined and raw forms."""
    chats = [r for r in records if r.questions]
    samples, queue, size = [], [], 2
    order = chats[:]
    # The published prompts' records come three times, so that sampling is steady there.
    order += [r for r in chats if any(q in PUBLISHED for q in r.questions) for _ in range(2)]
    rng.shuffle(order)
    for r in order:
        if r.file == "sums" and rng.random() > 0.2:     # a fifth of them in each pass
            continue
        question = choose(r, rng)
        x = rng.random()
        if x < 0.04:                       # raw completion: question, blank line, answer
            ids = tokenizer.encode(question + "\n\n" + r.answer + "<|endoftext|>")
            samples.append((ids, [1.0] * len(ids)))
        elif x < 0.22:                     # wait to be joined with others
            queue.append((question, r.answer))
            if len(queue) >= size:
                samples.append(chat_sample(tokenizer, queue, rng,
                                           rng.choice(SYSTEM) if rng.random() < 0.15 else None))
                queue, size = [], rng.choice((2, 2, 3, 4, 6))
        else:
            system = rng.choice(SYSTEM) if rng.random() < 0.12 else None
            samples.append(chat_sample(tokenizer, [(question, r.answer)], rng, system))
    for question, answer in queue:
        samples.append(chat_sample(tokenizer, [(question, answer)], rng))
    for r in records:
        if r.is_text and not r.held:
            ids = tokenizer.encode(r.answer + "<|endoftext|>")
            samples.append((ids, [1.0] * len(ids)))
    # Some chats are followed by another one, for whoever reads on past the end.
    rng.shuffle(samples)
    for _ in range(len(samples) // 20):
        a, b = samples.pop(), samples.pop()
        samples.insert(rng.randrange(len(samples)), (a[0] + b[0], a[1] + b[1]))
    return samples


def pack(samples, length):
    """First fit into rows.  -> (ids, segments, weights) arrays [rows, length]; weights[i] is the
    weight of predicting ids[i] from what stands before it in its segment; segment 0 is padding."""
    rows, room = [], []
    for ids, weights in samples:
        ids, weights = ids[:length], weights[:length]
        for i, free in enumerate(room):
            if free >= len(ids):
                break
        else:
            i = len(rows)
            rows.append([])
            room.append(length)
        rows[i].append((ids, weights))
        room[i] -= len(ids)
    out = (np.zeros((len(rows), length), np.int64), np.zeros((len(rows), length), np.int64),
           np.zeros((len(rows), length), np.float32))
    for i, row in enumerate(rows):
        at = 0
        for segment, (ids, weights) in enumerate(row, 1):
            end = at + len(ids)
            out[0][i, at:end], out[1][i, at:end], out[2][i, at:end] = ids, segment, weights
            out[2][i, at] = 0        # nothing stands before it
            at = end
    return out


def epoch_batches(job):
    """(records, tokenizer, seed, length, rows per batch) -> list of batches; last short one kept."""
    records, tokenizer, seed, length, rows = job
    arrays = pack(epoch(records, tokenizer, random.Random(seed)), length)
    count = len(arrays[0])
    order = np.random.default_rng(seed).permutation(count)
    return [tuple(a[order[i:i + rows]] for a in arrays) for i in range(0, count, rows)]


def held_out(records, tokenizer):
    """-> {"paraphrases": samples, "prose": samples}; only answers count in the first."""
    paraphrases, prose = [], []
    for r in records:
        for q in r.held_questions:
            ids = tokenizer.encode(turn("user", q) + ASSISTANT)
            answer = tokenizer.encode(FINAL + r.answer + "<|return|>")
            paraphrases.append((ids + answer, [0.0] * len(ids) + [1.0] * len(answer)))
        if r.held:
            ids = tokenizer.encode(r.answer + "<|endoftext|>")
            prose.append((ids, [1.0] * len(ids)))
    return {"paraphrases": paraphrases, "prose": prose}


if __name__ == "__main__":
    everything = load()
    chats = [r for r in everything if not r.is_text]
    print(f"{len(chats)} chat records, {sum(len(r.questions) for r in chats)} wordings trained on, "
          f"{sum(len(r.held_questions) for r in chats)} held out; "
          f"{sum(len(r.derived) for r in chats)} by rule; "
          f"{sum(1 for r in everything if r.is_text)} prose, {sum(r.held for r in everything)} held out; "
          f"{sum(bool(r.test) for r in chats)} with a test; "
          f"{sum(len(r.answer.split()) for r in everything)} words in answers")
