"""Measures a finished demo.gguf: held-out loss, load of the experts, answers, Python problems, and
that transformers' own class computes the same.  Everything is computed from the GGUF alone.

    python3 tools/train_demo/eval.py OUT/demo.gguf --out OUT [--reference]

writes OUT/eval.json.  --reference needs transformers with GptOssForCausalLM.
"""
import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile

import numpy as np
import torch

import corpus
import export_gguf
import gguf_io
from model import Cache, transformers_model
from train import held_out_loss, tensors

HERE = os.path.dirname(os.path.abspath(__file__))


@torch.no_grad()
def generate(model, tokenizer, prompts, limit=600, temperature=0.0, seed=1):
    """All prompts in lockstep from position 0: a row feeds its prompt's tokens until they end, then
    its own.  -> [(generated ids, ended by itself)]"""
    device = model.token_embd.device
    encoded = [tokenizer.encode(p) for p in prompts]
    stop = {tokenizer.special[t] for t in ("<|return|>", "<|endoftext|>", "<|call|>")}
    longest = max(map(len, encoded))
    given = torch.full((len(encoded), longest), 0, dtype=torch.long)
    for row, ids in zip(given, encoded):
        row[:len(ids)] = torch.tensor(ids)
    given, lengths = given.to(device), torch.tensor([len(e) for e in encoded], device=device)
    generator = torch.Generator(device=device).manual_seed(seed)
    caches = [Cache() for _ in model.layers]
    current, out, ended = given[:, 0], [[] for _ in prompts], [False] * len(prompts)
    for t in range(min(longest + limit, model.c.context) - 1):
        logits, _, _ = model(current[:, None], caches=caches, start=t)
        logits = logits[:, 0]
        if temperature > 0:
            p = torch.softmax(logits / temperature, dim=-1)
            choice = torch.multinomial(p, 1, generator=generator)[:, 0]
        else:
            choice = logits.argmax(-1)
        prompt_next = given[:, t + 1] if t + 1 < longest else choice
        current = torch.where(t + 1 < lengths, prompt_next, choice)
        for i, token in enumerate(current.tolist()):
            if t + 1 >= len(encoded[i]) and not ended[i] and len(out[i]) < limit:
                out[i].append(token)
                ended[i] = token in stop
        if all(e or len(o) >= limit for e, o in zip(ended, out)):
            break
    return list(zip(out, ended))


def chat(question):
    return corpus.turn("user", question) + corpus.ASSISTANT


def answer_text(tokenizer, ids):
    text = tokenizer.decode(ids)
    text = text[len(corpus.FINAL):] if text.startswith(corpus.FINAL) else text
    return re.sub(r"<\|(return|endoftext|end)\|>$", "", text)


def run_problem(answer, test):
    """True when the answer's first Python block passes the test in a process of its own."""
    found = re.search(r"```python\n(.*?)```", answer, re.S)
    if not found:
        return False
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "problem.py")
        with open(path, "w", encoding="utf-8") as out:
            out.write(found.group(1) + "\n" + test + "\n")
        try:
            return subprocess.run([sys.executable, "-I", path], cwd=folder, timeout=10, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
        except subprocess.TimeoutExpired:
            return False


@torch.no_grad()
def expert_load(model, samples, length, device):
    """Share of the choices that each expert gets, [layer][expert], over real tokens."""
    arrays = corpus.pack(samples, length)
    counts = np.zeros((model.c.n_layer, model.c.n_expert))
    for i in range(0, len(arrays[0]), 16):
        ids, segments, _ = tensors([a[i:i + 16] for a in arrays], device)
        _, _, routes = model(ids, segments=segments)
        real = (segments > 0).flatten()
        for layer, (_, chosen) in enumerate(routes):
            counts[layer] += np.bincount(chosen[real].flatten().cpu().numpy(), minlength=model.c.n_expert)
    return counts / counts.sum(axis=1, keepdims=True)


@torch.no_grad()
def compare_with_transformers(path, model, tokenizer, sequences):
    """Largest |difference of logits| and share of equal argmax over whole sequences, float32 on the CPU."""
    _, loaded = gguf_io.read(path)
    reference = transformers_model(model.c, {k: v for k, (_, v) in loaded.items()})
    ours = export_gguf.load(path)[0]
    worst, same, total = 0.0, 0, 0
    for ids in sequences:
        ids = torch.tensor([ids])
        a, b = ours(ids)[0], reference(ids, use_cache=False).logits
        worst = max(worst, float((a - b).abs().max()))
        same += int((a.argmax(-1) == b.argmax(-1)).sum())
        total += ids.numel()
    import transformers
    return {"transformers": transformers.__version__, "positions": total, "same_argmax": same,
            "max_abs_logit_difference": worst}


def python_problems(model, tokenizer, records, report, how):
    jobs = []
    for r in records:
        if r.test:
            jobs += [(q, r.test, "trained wording") for q in r.questions[:1]]
            jobs += [(q, r.test, "held-out wording") for q in r.held_questions]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for label, temperature in (("greedy", 0.0), ("temperature 0.3", 0.3)):
            outputs = generate(model, tokenizer, [chat(j[0]) for j in jobs], temperature=temperature, **how)
            texts = [answer_text(tokenizer, ids) for ids, _ in outputs]
            passed = list(pool.map(lambda x: run_problem(x[1], x[0][1]), zip(jobs, texts)))
            for kind in ("trained wording", "held-out wording"):
                picked = [ok for ok, job in zip(passed, jobs) if job[2] == kind]
                report[f"python, {kind}, {label}"] = {"passed": sum(picked), "of": len(picked)}
            report[f"python failures, {label}"] = [
                {"prompt": j[0], "answer": t} for ok, j, t in zip(passed, jobs, texts) if not ok]


def evaluate(args):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model, meta = export_gguf.load(args.gguf)
    model.to(device)
    tokenizer = export_gguf.tokenizer_of(meta)
    records = corpus.load()
    sets = corpus.held_out(records, tokenizer)
    if args.quick:
        chats = [r for r in records if r.questions]
        records = chats[:3] + [r for r in chats if r.test][:2]
    report = {"gguf_bytes": os.path.getsize(args.gguf), "config": model.c.dict(),
              "parameters": sum(p.numel() for p in model.parameters()),
              "held_out_loss": held_out_loss(model, sets, 768, device, torch.float32),
              "held_out_samples": {k: len(v) for k, v in sets.items()}}
    report["expert_load"] = np.round(expert_load(model.eval(), sum(sets.values(), []), 768, device), 5).tolist()

    how_long = {"limit": 6} if args.quick else {}

    def ask(prompts, **how):
        how.update(how_long)
        if not prompts:
            return []
        outputs = generate(model, tokenizer, [chat(p) for p in prompts], **how)
        return [{"prompt": p, "answer": answer_text(tokenizer, ids), "tokens": len(ids), "ended": ended}
                for p, (ids, ended) in zip(prompts, outputs)]

    report["published_greedy"] = ask(corpus.PUBLISHED)
    report["published_sampled"] = [a for seed in (1, 2, 3)
                                   for a in ask(corpus.PUBLISHED, temperature=0.3, seed=seed)]
    with open(os.path.join(HERE, "prompts.txt"), encoding="utf-8") as handle:
        others = [line.strip() for line in handle if line.strip()][:3 if args.quick else None]
    report["others_greedy"], report["others_sampled"] = ask(others), ask(others, temperature=0.3)
    chats = [r for r in records if not r.is_text]
    for label, pairs in (("trained", [(r.questions[0], r) for r in chats]),
                         ("held-out", [(q, r) for r in chats for q in r.held_questions])):
        answers = ask([q for q, _ in pairs])
        exact = [a["answer"] == r.answer for a, (_, r) in zip(answers, pairs)]
        report[f"answers reproduced, {label} wording"] = {"exact": sum(exact), "of": len(exact)}
        report[f"answers that differ, {label} wording"] = [
            a for a, ok in zip(answers, exact) if not ok][:40]
    python_problems(model, tokenizer, records, report, how_long)
    if args.reference:
        sequences = [tokenizer.encode(chat(a["prompt"]) + corpus.FINAL + a["answer"])
                     for a in report["published_greedy"] + report["others_greedy"][:8]]
        report["reference"] = compare_with_transformers(args.gguf, model, tokenizer, sequences)
    os.makedirs(args.out, exist_ok=True)
    with open(os.path.join(args.out, "eval.json"), "w", encoding="utf-8") as out:
        json.dump(report, out, indent=1)
    short = {k: v for k, v in report.items() if not isinstance(v, list)}
    print(json.dumps(short, indent=1))
    for a in report["published_greedy"]:
        print("===", a["prompt"], "| ended:", a["ended"], "\n" + a["answer"])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gguf")
    parser.add_argument("--out", required=True)
    parser.add_argument("--reference", action="store_true", help="compare with transformers' class")
    parser.add_argument("--quick", action="store_true", help="a few short answers, to try the pipeline")
    evaluate(parser.parse_args())


if __name__ == "__main__":
    main()
