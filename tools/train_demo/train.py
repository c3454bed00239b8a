"""Trains the demo model.  One command, from a clone, on a machine with one GPU:

    python3 tools/train_demo/train.py --out OUT

writes OUT/demo.gguf, OUT/training_log.jsonl and OUT/checkpoint.pt.  eval.py then measures.
"""
import argparse
import json
import math
import multiprocessing
import os
import random
import time

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import torch
import torch.nn.functional as F

import corpus
import export_gguf
import tokenizer as bpe
from model import Config, Model

DESCRIPTION = ("A small mixture-of-experts model of the gpt-oss architecture, trained on text written for the "
               "seesaw project.")

_job = {}


def _start_worker(records, tokenizer):
    _job.update(records=records, tokenizer=tokenizer)


def _work(args):
    return corpus.epoch_batches((_job["records"], _job["tokenizer"]) + args)


def batches(records, tokenizer, seed, length, rows, workers):
    """Endless batches in an order that depends on the seed alone."""
    jobs = ((seed * 1_000_000 + e, length, rows) for e in range(10 ** 9))
    if workers == 0:
        for job in jobs:
            yield from corpus.epoch_batches((records, tokenizer) + job)
    with multiprocessing.get_context("fork").Pool(workers, _start_worker, (records, tokenizer)) as pool:
        while True:
            chunk = [next(jobs) for _ in range(workers * 2)]
            for epoch in pool.map(_work, chunk, chunksize=1):
                yield from epoch


def tensors(batch, device):
    return [torch.from_numpy(a).to(device) for a in batch]


def token_losses(model, ids, segments, weights, dtype):
    """-> (sum of weighted losses, sum of weights, routes, mask of real tokens)"""
    logits, _, routes = model(ids, segments=segments, dtype=dtype)
    losses = F.cross_entropy(logits[:, :-1].float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    w = weights[:, 1:].flatten()
    return (losses * w).sum(), w.sum(), routes, (segments > 0).flatten()


def balance_loss(routes, real, n_expert, k):
    """Switch Transformer's: n_expert * sum of (share of choices) * (mean probability); 1 if even.
    Also the mean squared log of the router's partition function, which keeps its logits small."""
    total, z = 0.0, 0.0
    count = real.sum()
    for logits, chosen in routes:
        share = F.one_hot(chosen, n_expert).sum(1).float()
        share = (share * real[:, None]).sum(0) / (count * k)
        probability = (torch.softmax(logits, dim=-1) * real[:, None]).sum(0) / count
        total = total + n_expert * (share * probability).sum()
        z = z + (torch.logsumexp(logits, dim=-1) ** 2 * real).sum() / count
    return total / len(routes), z / len(routes)


@torch.no_grad()
def held_out_loss(model, sets, length, device, dtype):
    model.eval()
    result = {}
    for name, samples in sets.items():
        if not samples:
            continue
        arrays, total, weight = corpus.pack(samples, length), 0.0, 0.0
        for i in range(0, len(arrays[0]), 16):
            loss, w, _, _ = token_losses(model, *tensors([a[i:i + 16] for a in arrays], device), dtype)
            total, weight = total + loss.item(), weight + w.item()
        result[name] = total / weight
    model.train()
    return result


def rate(step, steps, peak):
    """Warm-up, constant, then a linear fall to a fiftieth over the last 60 %."""
    if step < 100:
        return peak * (step + 1) / 100
    turn = 0.4 * steps
    if step < turn:
        return peak
    return peak * (1 - 0.98 * (step - turn) / (steps - turn))


def train(args):
    start = time.time()
    random.seed(args.seed)
    torch.manual_seed(args.seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    records = corpus.load()
    tokenizer = bpe.train(list(corpus.texts_for_vocabulary(records)), args.vocab)
    sets = corpus.held_out(records, tokenizer)
    stream = batches(records, tokenizer, args.seed, args.length, args.rows, args.workers)
    first = next(stream)          # workers fork before the GPU is touched
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    config = Config(n_vocab=args.vocab)
    if args.tiny:
        config = Config(n_vocab=args.vocab, n_layer=2, n_embd=64, n_ff=64, n_expert=4, n_expert_used=2)
    model = Model(config).to(device).train()
    model.dropout = args.dropout
    matrices = [p for p in model.parameters() if p.dim() >= 2 and p.shape[-1] >= 32]
    rest = [p for p in model.parameters() if not (p.dim() >= 2 and p.shape[-1] >= 32)]
    options = {"fused": True} if device == "cuda" else {}
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": args.decay},
                                   {"params": rest, "weight_decay": 0.0}],
                                  lr=args.lr, betas=(0.9, 0.95), **options)
    os.makedirs(args.out, exist_ok=True)
    log = open(os.path.join(args.out, "training_log.jsonl"), "w", encoding="utf-8")

    def note(**fields):
        line = json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in fields.items()})
        log.write(line + "\n")
        log.flush()
        print(line, flush=True)

    note(event="start", seed=args.seed, parameters=sum(p.numel() for p in model.parameters()),
         chat_records=sum(not r.is_text for r in records), prose=sum(r.is_text for r in records),
         wordings=sum(len(r.questions) for r in records),
         derived_wordings=sum(len(r.derived) for r in records), held_wordings=sum(len(r.held_questions) for r in records),
         held_prose=sum(r.held for r in records), torch=torch.__version__,
         device=torch.cuda.get_device_name() if device == "cuda" else "cpu",
         setup_seconds=time.time() - start, **{k: getattr(args, k) for k in
                                              ("steps", "qat_from", "rows", "length", "lr", "dropout", "decay")})
    tokens, began, batch, step = 0, time.time(), first, -1
    while (step := step + 1) < args.steps:
        if step == 60 and args.max_seconds:
            fits = int((args.max_seconds - (time.time() - began)) / ((time.time() - warm) / 30))
            if fits < args.steps:
                args.steps = fits
                note(event="fewer steps, to end in time", steps=args.steps)
        if step == 30:
            warm = time.time()
        if step == int(args.steps * args.qat_from):
            model.qat = True
            note(event="quantisation-aware from here", step=step)
        for group in optimizer.param_groups:
            group["lr"] = rate(step, args.steps, args.lr)
        ids, segments, weights = tensors(batch, device)
        loss, weight, routes, real = token_losses(model, ids, segments, weights, dtype)
        loss = loss / weight
        balance, z = balance_loss(routes, real, config.n_expert, config.n_expert_used)
        (loss + args.balance * balance + 1e-4 * z).backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        tokens += int((batch[1] > 0).sum())
        if step % 25 == 0 or step == args.steps - 1:
            if not math.isfinite(loss.item()):
                raise SystemExit(f"loss is {loss.item()} at step {step}")
            extra = {}
            if step % 250 == 0 or step == args.steps - 1:
                extra = {"held_" + k: v for k, v in
                         held_out_loss(model, sets, args.length, device, dtype).items()}
            note(step=step, tokens=tokens, loss=loss.item(), balance=balance.item(), norm=norm.item(),
                 lr=rate(step, args.steps, args.lr), seconds=time.time() - began, **extra)
        batch = next(stream)
    stream.close()
    model.bake()
    model.eval()
    torch.save({"config": config.dict(), "state": model.state_dict()}, os.path.join(args.out, "checkpoint.pt"))
    path = os.path.join(args.out, "demo.gguf")
    export_gguf.export(path, model, tokenizer, description=DESCRIPTION)
    note(event="end", tokens=tokens, seconds=time.time() - began, gguf_bytes=os.path.getsize(path),
         **{"held_" + k: v for k, v in held_out_loss(model, sets, args.length, device, torch.float32).items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--qat-from", type=float, default=0.4, help="share of the steps after which weights are rounded")
    parser.add_argument("--rows", type=int, default=12)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--lr", type=float, default=2.5e-3)
    parser.add_argument("--dropout", type=float, default=0.25)
    parser.add_argument("--decay", type=float, default=0.2)
    parser.add_argument("--balance", type=float, default=0.02)
    parser.add_argument("--vocab", type=int, default=2048)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--max-seconds", type=float, default=0, help="train fewer steps when they would not fit")
    parser.add_argument("--tiny", action="store_true", help="a model of no use, to try the pipeline")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
