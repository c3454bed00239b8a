#!/usr/bin/env python3
"""check_quality [--change] FOLDER: the quality figures of a run's figures.json, computed again by other means.

--change first makes the second arm's replies other ones, from a fixed seed: token ids, log-probabilities, embeddings and outcomes of programs.
Without it the figures are checked: pass@k in exact fractions, KL by dictionaries, cosine by math.hypot's sums, means and σ by statistics. TOST and
its interval against R (`t.test`) where Rscript is there, else they are left out, and that is said.
"""
import fractions
import json
import math
import pathlib
import random
import shutil
import statistics
import subprocess
import sys

FLOOR = 1e-6  # token_kl.h: SSW_TOKEN_KL_REST_MIN


def lines(path):
    return [json.loads(line) for line in path.open(encoding="utf-8")]


def write(path, items):
    path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")


def change(folder):
    rng = random.Random(3)
    samples, tokens = lines(folder / "samples.jsonl"), lines(folder / "tokens.jsonl")
    executions, embeddings = lines(folder / "executions.jsonl"), lines(folder / "embeddings.jsonl")
    for s in samples:
        if s["kind"] != "sample" or s["arm"] != "offload":
            continue
        for item in s["logprobs"]:
            for top in item["top_logprobs"]:
                top["logprob"] = min(top["logprob"] - abs(rng.gauss(0, 0.3)), -1e-9)
        if len(s["logprobs"]) > 8 and rng.random() < 0.7:
            s["logprobs"][rng.randrange(1, 8)].update(token="another", bytes=[1])
    for line in tokens:
        if ".offload." in line["id"] and line["ids"] and rng.random() < 0.7:
            line["ids"][rng.randrange(len(line["ids"]))] += 1
    for line in embeddings:
        if ".offload." in line["id"]:
            line["values"] = [v + rng.gauss(0, 0.02) for v in line["values"]]
    for line in executions:
        if ".offload." in line["id"] and rng.random() < 0.4:
            line["outcome"] = "failed" if line["outcome"] == "passed" else "passed"
    write(folder / "samples.jsonl", samples)
    write(folder / "tokens.jsonl", tokens)
    write(folder / "embeddings.jsonl", embeddings)
    write(folder / "executions.jsonl", executions)


def pass_at_k(n, c, k):
    return float(1 - fractions.Fraction(math.comb(n - c, k), math.comb(n, k)))


def divergence(a, b):
    for i, (x, y) in enumerate(zip(a, b)):
        if x != y:
            return i
    return None if len(a) == len(b) else min(len(a), len(b))


def kl(a, b):
    """Sum over compared tokens and their number."""
    total, n = 0.0, 0
    for x, y in zip(a, b):
        p = {tuple(t["bytes"]): math.exp(t["logprob"]) for t in x["top_logprobs"]}
        q = {tuple(t["bytes"]): math.exp(t["logprob"]) for t in y["top_logprobs"]}
        both = p.keys() & q.keys()
        p_rest, q_rest = 1 - sum(p[t] for t in both), 1 - sum(q[t] for t in both)
        total += sum(p[t] * math.log(p[t] / q[t]) for t in both if p[t] > 0)
        if p_rest > FLOOR:
            total += p_rest * math.log(p_rest / max(q_rest, FLOOR))
        n += 1
        if x["bytes"] != y["bytes"]:
            break
    return total, n


def cosine(a, b):
    return math.fsum(x * y for x, y in zip(a, b)) / math.hypot(*a) / math.hypot(*b)


def mean(values):
    values = [v for v in values if v is not None]
    return statistics.fmean(values) if values else None


class Checker:
    def __init__(self, run):
        folder = run / "quality"
        self.figures = json.loads((run / "report" / "figures.json").read_text(encoding="utf-8"))["figures"]
        self.margin = json.loads((folder / "quality.json").read_text(encoding="utf-8"))["margin"]
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        self.arms = [a["name"] for a in manifest["arms"]]
        self.prompts, self.runs = [p["id"] for p in manifest["plan"]["prompts"]], manifest["plan"]["runs"]
        self.samples = {(s["arm"], s["prompt"], s["run"]): s for s in lines(folder / "samples.jsonl") if s["kind"] == "sample"}
        self.ids = {t["id"]: t["ids"] for t in lines(folder / "tokens.jsonl")}
        self.vectors = {e["id"]: e["values"] for e in lines(folder / "embeddings.jsonl")}
        self.outcomes = {e["id"]: e["outcome"] for e in lines(folder / "executions.jsonl")}
        self.faults, self.n = [], 0

    def near(self, key, field, wanted):
        self.n += 1
        found = self.figures.get(f"quality.{key}", {}).get(field)
        if found is None or not math.isclose(found, wanted, rel_tol=1e-7, abs_tol=1e-9):
            self.faults.append(f"quality.{key}.{field} is {found}, not {wanted}")

    def pairs(self, arm, prompt, measure):
        both = [(self.samples[self.arms[0], prompt, r], self.samples[arm, prompt, r]) for r in range(1, self.runs + 1)]
        return [measure(a, b) for a, b in both]

    def agreement(self, arm, prompt):
        def one(a, b):
            at = divergence(self.ids[a["id"]], self.ids[b["id"]])
            return 1.0 if at is None else at / max(len(self.ids[a["id"]]), len(self.ids[b["id"]]))
        return mean(self.pairs(arm, prompt, one))

    def divergence_kl(self, arm, prompt):
        found = self.pairs(arm, prompt, lambda a, b: kl(a["logprobs"], b["logprobs"]))
        return sum(t for t, _ in found) / sum(n for _, n in found)

    def similarity(self, arm, prompt):
        return mean(self.pairs(arm, prompt, lambda a, b: cosine(self.vectors[a["id"]], self.vectors[b["id"]])))

    def passed(self, arm, prompt, all_of_them):
        outcomes = [self.outcomes.get(self.samples[arm, prompt, r]["id"]) for r in range(1, self.runs + 1)]
        outcomes = [o for o in outcomes if o]
        return pass_at_k(len(outcomes), outcomes.count("passed"), len(outcomes) if all_of_them else 1) if outcomes else None

    def tost(self, key, d):
        code = (f"d <- c({','.join(map(repr, d))}); m <- {self.margin}; cat(t.test(d, mu=-m, alternative='greater')$p.value,"
                "t.test(d, mu=m, alternative='less')$p.value, t.test(d, conf.level=0.9)$conf.int, sep='\\n')")
        out = subprocess.run(["Rscript", "-e", f"options(digits=15); {code}"], capture_output=True, text=True, check=True).stdout
        low_p, high_p, low, high = map(float, out.split())
        self.near(f"{key}.tost_p", "value", max(low_p, high_p))
        self.near(f"{key}.difference", "ci_low", low)
        self.near(f"{key}.difference", "ci_high", high)

    def measure(self, name, arm, of_arm, of_null):
        self.near(f"{name}.{arm}.mean", "value", mean(of_arm))
        self.near(f"{name}.{arm}.null", "value", mean(of_null))
        d = [a - b for a, b in zip(of_arm, of_null) if a is not None and b is not None]
        self.near(f"{name}.{arm}.difference", "value", statistics.fmean(d))
        self.near(f"{name}.{arm}.difference", "sd", statistics.stdev(d))
        if shutil.which("Rscript") and statistics.stdev(d) > 0:
            self.tost(f"{name}.{arm}", d)

    def check(self):
        for name, of_pair in (("agreement", self.agreement), ("kl", self.divergence_kl), ("cosine", self.similarity)):
            self.measure(name, "offload", [of_pair("offload", p) for p in self.prompts], [of_pair("aa", p) for p in self.prompts])
        for name, every in (("pass_at_1", False), ("pass_at_n", True)):
            for arm in ("offload", "aa"):
                self.measure(name, arm, [self.passed(arm, p, every) for p in self.prompts],
                             [self.passed("baseline", p, every) for p in self.prompts])
        places = [p for prompt in self.prompts
                  for p in self.pairs("offload", prompt, lambda a, b: divergence(self.ids[a["id"]], self.ids[b["id"]]))]
        self.near("equal_pairs.offload", "value", places.count(None))
        self.near("first_divergence.offload.median", "value", statistics.median(p for p in places if p is not None))
        for fault in self.faults:
            print("FAULT:", fault)
        print(f"check_quality: {self.n} figures computed again, {len(self.faults)} faults"
              + ("" if shutil.which("Rscript") else "; no R, so no TOST"))
        return 1 if self.faults else 0


def main():
    run = pathlib.Path(sys.argv[-1])
    if sys.argv[1] == "--change":
        change(run / "quality")
        return 0
    return Checker(run).check()


sys.exit(main())
