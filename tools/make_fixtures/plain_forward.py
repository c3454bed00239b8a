"""One forward pass in numpy, double precision, for the families of family_fixtures.py.

Written from the papers and the published configurations; nothing is shared with the engine.  It is the reference of
DeepSeek-MoE (v1), which has no class in transformers, and the cross-check of the other families, whose reference is
transformers.  Weights come by their GGUF names.

Mixtral: arXiv:2401.04088.  DeepSeekMoE: arXiv:2401.06066 (section 3; equations 9 to 11: shared experts are always on,
gates are the softmax over all routed experts, kept for the top k, not renormalised).  Qwen3: arXiv:2505.09388
(RMSNorm on each head's query and key).  DeepSeek-V2: arXiv:2405.04434 (section 2.1; keys and values of every head are
made from the latent vector, as in the paper before it absorbs matrices); YaRN: arXiv:2309.00071.  DeepSeek-V3's
routing: arXiv:2412.19437.  Phi-3.5-MoE: SparseMixer-v2, arXiv:2409.12136 (GRIN), at inference.
"""
import numpy as np


def silu(x):
    return x / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def normalise(x, weight, bias, eps):
    """RMSNorm without a bias tensor, LayerNorm with one: of these families only phimoe has both."""
    if bias is not None:
        x = x - x.mean(axis=-1, keepdims=True)
    y = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps) * weight
    return y if bias is None else y + bias


def publisher_order(weight, heads):
    """Undoes the converter's permutation of query and key rows, which turns rotated halves into neighbours."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def rotate(x, positions, frequency, scale):
    """x [T][heads][head_dim]; pairs are (i, i + head_dim / 2)."""
    angle = positions[:, None, None] * frequency[None, None, :]
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def neighbours_apart(x):
    """Rotated pairs (2i, 2i + 1) as rotate() takes them."""
    return np.concatenate([x[..., 0::2], x[..., 1::2]], axis=-1)


def yarn_frequency(c):
    """YaRN's ramp between kept and stretched frequencies, its ends rounded outwards, betas 32 and 1."""
    n, base = c["rope"], c["rope_base"]
    frequency = base ** (-2 * np.arange(n // 2) / n)
    if not c["yarn"]:
        return frequency
    low, high = (n * np.log(c["original_context"] / (turns * 2 * np.pi)) / (2 * np.log(base)) for turns in (32, 1))
    low, high = max(np.floor(low), 0), min(np.ceil(high), n - 1)
    slowness = np.clip((np.arange(n // 2) - low) / max(high - low, 0.001), 0, 1)
    return frequency * (1 - slowness) + frequency / c["yarn"] * slowness


def rope_frequency(c, w, tokens):
    if c["arch"] == "deepseek2":
        return yarn_frequency(c), 1.0      # mscale and mscale_all_dim are the same: cos and sin as they are
    frequency = c["rope_base"] ** (-2 * np.arange(c["head_dim"] // 2) / c["head_dim"])
    if c["arch"] != "phimoe":
        return frequency, 1.0
    is_long = tokens > c["original_context"]
    factors = w["rope_factors_long.weight" if is_long else "rope_factors_short.weight"]
    return frequency / factors, c["mscale"]


def sparsemixer(scores, jitter):
    """Twice the largest: each weighed by a softmax over those that are within 2 jitter of it (relative to the larger
    of its value and the other's magnitude), the second time without the first.  -> (chosen, weights, margin)"""
    scores = scores.copy()
    chosen, weights, margin = [], [], np.inf
    original = scores.copy()
    for _ in range(2):
        best = int(np.argmax(scores))
        top = scores[best]
        factor = np.maximum(np.abs(original), top)
        with np.errstate(invalid="ignore"):
            excess = (top - scores) / factor - 2 * jitter
        kept = np.where(excess > 0, -np.inf, scores)
        chosen.append(best)
        weights.append(float(softmax(kept)[best]))
        others = np.isfinite(scores)
        others[best] = False
        if others.any():
            margin = min(margin, float((top - scores[others]).min()),
                         float(np.abs(excess[others] * factor[others]).min()))
        scores[best] = -np.inf
    return chosen, weights, margin


def route_v3(c, logits, bias):
    """DeepSeek-V3: sigmoid, chosen with the bias within the better half of the groups, weighed without it.  The margin
    is four times the scores': at most the logits', as the sigmoid's slope is a quarter at most."""
    k, n = c["n_expert_used"], c["groups"]
    scores = 1 / (1 + np.exp(-logits))
    choice, margin = scores + bias, np.inf
    if n > 1:
        best = np.sort(choice.reshape(n, -1), axis=1)[:, -2:].sum(axis=1)
        order = np.argsort(-best, kind="stable")
        margin = float(best[order[n // 2 - 1]] - best[order[n // 2]])
        kept = np.isin(np.arange(n), order[:n // 2])
        choice = np.where(np.repeat(kept, len(logits) // n), choice, -np.inf)
    order = np.argsort(-choice, kind="stable")
    weights = scores[order[:k]]
    if np.isfinite(choice[order[k]]):
        margin = min(margin, float(choice[order[k - 1]] - choice[order[k]]))
    return order[:k].tolist(), (2.5 * weights / weights.sum()).tolist(), 4 * margin


def route(c, logits, layer):
    """One token's router logits -> (chosen, weights, smallest distance to another choice)"""
    if c.get("groups"):
        return route_v3(c, logits, layer["exp_probs_b.bias"])
    if c["arch"] == "phimoe":
        return sparsemixer(logits, 0.01)
    k = c["n_expert_used"]
    order = np.argsort(-logits, kind="stable")
    weights = softmax(logits)[order[:k]]
    if c["arch"] not in ("deepseek", "deepseek2"):
        weights = weights / weights.sum()
    margin = float(logits[order[k - 1]] - logits[order[k]]) if k < len(logits) else np.inf
    return order[:k].tolist(), weights.tolist(), margin


def glu(x, gate, up, down):
    return (silu(x @ gate.T) * (x @ up.T)) @ down.T


def feed_forward(c, layer, x):
    """x [T][n_embd], normalised -> (sum of the experts, margin)"""
    if "ffn_gate.weight" in layer:
        return glu(x, layer["ffn_gate.weight"], layer["ffn_up.weight"], layer["ffn_down.weight"]), np.inf
    out, margin = np.zeros_like(x), np.inf
    logits = x @ layer["ffn_gate_inp.weight"].T
    for t in range(len(x)):
        chosen, weights, m = route(c, logits[t], layer)
        margin = min(margin, m)
        for expert, weight in zip(chosen, weights):
            out[t] += weight * glu(x[t], layer["ffn_gate_exps.weight"][expert], layer["ffn_up_exps.weight"][expert],
                                   layer["ffn_down_exps.weight"][expert])
    if "ffn_gate_shexp.weight" in layer:
        out += glu(x, layer["ffn_gate_shexp.weight"], layer["ffn_up_shexp.weight"], layer["ffn_down_shexp.weight"])
    return out, margin


def attend(q, k, v, scale, window):
    """q, k [T][heads][key width], v [T][heads][value width] -> [T][heads * value width]"""
    t = np.arange(len(q), dtype=np.float64)
    distance = t[:, None] - t[None, :]
    seen = distance >= 0
    if window:
        seen &= distance < window
    p = softmax(np.where(seen[None], np.einsum("qhd,khd->hqk", q, k) * scale, -np.inf))
    return np.einsum("hqk,khd->qhd", p, v).reshape(len(q), -1)


def latent_attention(c, layer, x, frequency):
    t, heads, rank, nope = len(x), c["n_head"], c["kv_rank"], c["nope"]
    if c["q_rank"]:
        low = normalise(x @ layer["attn_q_a.weight"].T, layer["attn_q_a_norm.weight"], None, c["eps"])
        q = low @ layer["attn_q_b.weight"].T
    else:
        q = x @ layer["attn_q.weight"].T
    q = q.reshape(t, heads, nope + c["rope"])
    kv = x @ layer["attn_kv_a_mqa.weight"].T
    latent = normalise(kv[:, :rank], layer["attn_kv_a_norm.weight"], None, c["eps"])
    if c["joint"]:
        k, v = np.split((latent @ layer["attn_kv_b.weight"].T).reshape(t, heads, -1), [nope], axis=-1)
    else:
        k = np.einsum("tr,hrn->thn", latent, layer["attn_k_b.weight"])
        v = np.einsum("tr,hvr->thv", latent, layer["attn_v_b.weight"])
    positions = np.arange(t, dtype=np.float64)
    q_rotated = rotate(neighbours_apart(q[..., nope:]), positions, frequency, 1.0)
    k_rotated = rotate(neighbours_apart(kv[:, None, rank:]), positions, frequency, 1.0)
    q = np.concatenate([q[..., :nope], q_rotated], axis=-1)
    k = np.concatenate([k, np.repeat(k_rotated, heads, axis=1)], axis=-1)
    scale = 1 / np.sqrt(nope + c["rope"])
    if c["yarn"]:
        scale *= (0.1 * c["mscale_all_dim"] * np.log(c["yarn"]) + 1) ** 2
    return attend(q, k, v, scale, None) @ layer["attn_output.weight"].T


def attention(c, layer, x, frequency, scale):
    t, d, heads, heads_kv = len(x), c["head_dim"], c["n_head"], c["n_head_kv"]
    wq, wk = layer["attn_q.weight"], layer["attn_k.weight"]
    if c["permuted"]:
        wq, wk = publisher_order(wq, heads), publisher_order(wk, heads_kv)
    q = x @ wq.T + layer.get("attn_q.bias", 0)
    k = x @ wk.T + layer.get("attn_k.bias", 0)
    v = x @ layer["attn_v.weight"].T + layer.get("attn_v.bias", 0)
    q, k, v = q.reshape(t, heads, d), k.reshape(t, heads_kv, d), v.reshape(t, heads_kv, d)
    if "attn_q_norm.weight" in layer:
        q = normalise(q, layer["attn_q_norm.weight"], None, c["eps"])
        k = normalise(k, layer["attn_k_norm.weight"], None, c["eps"])
    positions = np.arange(t, dtype=np.float64)
    q, k = rotate(q, positions, frequency, scale), rotate(k, positions, frequency, scale)
    k, v = np.repeat(k, heads // heads_kv, axis=1), np.repeat(v, heads // heads_kv, axis=1)
    out = attend(q, k, v, 1 / np.sqrt(d), c.get("window"))
    return out @ layer["attn_output.weight"].T + layer.get("attn_output.bias", 0)


def forward(c, values, prompt):
    """-> (logits [T][n_vocab], hidden after the final norm [T][n_embd], smallest router margin)"""
    w = {name: x.astype(np.float64) for name, x in values.items()}
    frequency, scale = rope_frequency(c, w, len(prompt))
    x, margin = w["token_embd.weight"][prompt], np.inf
    for i in range(c["n_layer"]):
        head = f"blk.{i}."
        layer = {name[len(head):]: value for name, value in w.items() if name.startswith(head)}
        normed = normalise(x, layer["attn_norm.weight"], layer.get("attn_norm.bias"), c["eps"])
        if c["arch"] == "deepseek2":
            x = x + latent_attention(c, layer, normed, frequency)
        else:
            x = x + attention(c, layer, normed, frequency, scale)
        y, m = feed_forward(c, layer, normalise(x, layer["ffn_norm.weight"], layer.get("ffn_norm.bias"), c["eps"]))
        x, margin = x + y, min(margin, m)
    hidden = normalise(x, w["output_norm.weight"], w.get("output_norm.bias"), c["eps"])
    return hidden @ w["output.weight"].T + w.get("output.bias", 0), hidden, margin
