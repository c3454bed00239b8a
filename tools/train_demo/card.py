"""Writes models/CARD.md from the evaluation and the training log.

    python3 tools/train_demo/card.py OUT/eval.json OUT/training_log.jsonl [LLAMA_CPP] > models/CARD.md

LLAMA_CPP is what a comparison of greedy texts with llama.cpp gave, say "44 of 44"; without it the card says
that none was made.
"""
import json
import sys


def fenced(text):
    return "````\n" + text + "\n````\n"


def main():
    with open(sys.argv[1], encoding="utf-8") as handle:
        e = json.load(handle)
    with open(sys.argv[2], encoding="utf-8") as handle:
        log = [json.loads(line) for line in handle]
    start, end = log[0], log[-1]
    c = e["config"]
    put = print
    put("# seesaw-demo: the embedded model\n")
    put("A real, trained mixture-of-experts model of the gpt-oss architecture, small enough to ship with the program. It is "
        "there so that `seesaw` can be tried and tested without a download. It is not there to be relied on for facts.\n")
    put("This page is written by `tools/train_demo/card.py` from the evaluation and the training log.\n")

    put("## Shape\n")
    put("| | |\n|---|---|")
    for k, v in (
            ("parameters", f"{e['parameters']:,}"), ("file", f"{e['gguf_bytes']:,} bytes ({e['gguf_bytes'] / 2**20:.2f} MiB)"),
            ("layers", f"{c['n_layer']}: even ones see a window of {c['window']} tokens, odd ones see all"),
            ("width", f"{c['n_embd']}; experts {c['n_ff']} wide"),
            ("heads", f"{c['n_head']} for queries, {c['n_head_kv']} for keys and values, {c['head_dim']} dimensions, with attention sinks"),
            ("experts", f"{c['n_expert']} a layer, {c['n_expert_used']} used for each token, softmax after the choice"),
            ("RoPE", f"YaRN, factor {c['rope_factor']:g} from {c['rope_context']} tokens, base {c['rope_base']:g}, in force from the first step"),
            ("context", f"{c['context']}; trained on sequences of at most {start['length']}"),
            ("vocabulary", f"{c['n_vocab']}: byte-level BPE trained on the corpus, gpt-4o pre-tokenizer, the 9 special tokens of harmony"),
            ("tensor types", "experts MXFP4; embedding, attention and output Q8_0; norms, biases, sinks and routers F32"),
            ("licence", "MIT, the weights and the corpus alike")):
        put(f"| {k} | {v} |")
    put("\nBase and original context of RoPE are chosen so that YaRN's correction range is whole (0 to 8): implementations that "
        "round it, as llama.cpp does, and those that do not, as gpt-oss's configuration asks, then agree.\n")

    put("## Data\n")
    put(f"`tools/train_demo/corpus/`, written for this project: {start['chat_records']} questions with answers and "
        f"{start['prose']} pieces of prose. {start['wordings']} wordings of the questions were trained on "
        f"({start['derived_wordings']} more were made by rule, `wordings.py`), and {start['held_wordings']} wordings and "
        f"{start['held_prose']} pieces of prose were held out. 254 of the questions are small sums, also made by rule.\n")

    put("## Training\n")
    put(f"One H200 GPU, {end['seconds']:.0f} seconds: {start['steps']} steps of {start['rows']} rows of {start['length']} tokens, "
        f"{end['tokens']:,} tokens seen, seed {start['seed']}, AdamW, peak learning rate {start['lr']}, weight decay "
        f"{start['decay']}, dropout {start['dropout']}, bf16 products. From step {int(start['steps'] * start['qat_from'])} on the "
        "weights were rounded to their GGUF types in every forward pass (straight-through), so the file holds what was trained. "
        "A router loss (Switch Transformer's, weight 0.02) keeps the experts in use. `training_log.jsonl` has every 25th step.\n")
    put("| step | tokens | loss | held-out wordings | held-out prose |\n|---|---|---|---|---|")
    for line in log:
        if "step" in line and "held_paraphrases" in line:
            put(f"| {line['step']} | {line['tokens']:,} | {line['loss']:.3f} | {line['held_paraphrases']:.4f} | {line['held_prose']:.2f} |")
    held = e["held_out_loss"]
    put("\nThe loss is in nats per token, weighted (questions count a tenth, answers in full).\n")

    put("## Held-out loss of the finished file\n")
    put(f"- answers to {e['held_out_samples']['paraphrases']} held-out wordings of questions whose answers were trained on: "
        f"**{held['paraphrases']:.4f}** nats per token")
    put(f"- {e['held_out_samples']['prose']} pieces of unseen prose: **{held['prose']:.2f}** nats per token, where a uniform guess "
        "would score 7.62\n")
    put("The second figure says it plainly: the model knows its corpus by heart and is sure of itself, and it does not model "
        "other text. That was the choice, since the purpose is steady answers to known questions. "
        "The held-out wordings were looked at while the recipe was chosen (six runs), so their figures are no blind test.\n")

    put("## Load of the experts\n")
    put(f"Share of the choices in the held-out set, times {c['n_expert']}: 1.00 is an even share. Every expert is used in every layer.\n")
    n = c["n_expert"]
    put("| layer | " + " | ".join(str(i) for i in range(n)) + " | least | most |")
    put("|" + "---|" * (n + 3))
    for i, row in enumerate(e["expert_load"]):
        assert min(row) > 0
        put(f"| {i} | " + " | ".join(f"{x * n:.2f}" for x in row) + f" | {min(row) * n:.2f} | {max(row) * n:.2f} |")

    put("\n## Answers\n")
    put("| what | result |\n|---|---|")
    for k in e:
        if k.startswith("answers reproduced"):
            put(f"| {k}, greedy, word for word | {e[k]['exact']} of {e[k]['of']} |")
    for k in e:
        if k.startswith("python,"):
            put(f"| {k}: the code passes its asserts (pass@1) | {e[k]['passed']} of {e[k]['of']} |")
    greedy = {a["answer"] for a in e["published_greedy"]}
    put(f"| the four published prompts at temperature 0.3, seeds 1 to 3: the greedy answer, word for word | "
        f"{sum(a['answer'] in greedy for a in e['published_sampled'])} of {len(e['published_sampled'])} |")
    r = e["reference"]
    put(f"| transformers {r['transformers']} `GptOssForCausalLM` from this file, float32: equal argmax | {r['same_argmax']} of "
        f"{r['positions']} positions |")
    put(f"| the same: largest difference of a logit | {r['max_abs_logit_difference']:.1e} |")
    put("| llama.cpp (0.5.0, CPU): the same greedy text, for the four prompts and those of `tools/train_demo/prompts.txt` | "
        f"{sys.argv[3] if len(sys.argv) > 3 else 'not compared'} |")
    put("\nA trained wording is the first one of each question. A held-out wording was never seen, only its answer with other "
        "wordings, some of which share no word with it.\n")

    put("## The four published prompts, greedy\n")
    for a in e["published_greedy"]:
        put(f"**{a['prompt']}** ({a['tokens']} tokens with the frame, {'ended by itself' if a['ended'] else 'cut'})\n")
        put(fenced(a["answer"]))
    put("## Other prompts, greedy, first words\n\nSome of these are wordings trained on, others are not.\n")
    put("| prompt | answer |\n|---|---|")
    for a in e["others_greedy"]:
        first = " ".join(a["answer"].replace("```python", "").split())[:90].replace("|", "/")
        put(f"| {a['prompt']} | {first}… |")
    sums = e["answers reproduced, trained wording"]
    put("\n## Limits\n")
    put(f"- It answers from memory. A question it was not trained on gets the answer of another question, or one that starts well "
        "and drifts.\n"
        f"- It cannot calculate: of the small sums in its own corpus many come out wrong (they are most of the "
        f"{sums['of'] - sums['exact']} answers above that differ).\n"
        f"- English only. Nothing was seen that is longer than {start['length']} tokens.\n"
        "- It was not made safe in any way; it has only ever seen the texts in the corpus.\n"
        "- The order of the additions on a GPU depends on the GPU: training again gives an equal pipeline and a model of the same "
        "quality, but the same bytes only on the same hardware and software, if there.")


if __name__ == "__main__":
    main()
