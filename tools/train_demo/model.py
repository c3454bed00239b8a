"""The gpt-oss architecture in plain PyTorch, laid out as GGUF stores it.

The definition of truth is transformers' GptOssForCausalLM; eval.py --reference compares the two.
Every token is run through every expert and weighted by the router, which on one large GPU is
faster than gathering for a model this small.  Weights may pass through a straight-through
quantiser (`qat`), so that what trains is what the GGUF holds.
"""
import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Config:
    n_vocab: int = 2048
    n_layer: int = 5
    n_embd: int = 256
    n_head: int = 8
    n_head_kv: int = 2
    head_dim: int = 64
    n_ff: int = 256
    n_expert: int = 16
    n_expert_used: int = 4
    window: int = 128
    context: int = 2048
    rope_base: float = 172250.0
    rope_factor: float = 16.0
    rope_context: int = 128      # YaRN's original context
    rms_eps: float = 1e-5
    alpha: float = 1.702
    limit: float = 7.0

    def dict(self):
        return asdict(self)


E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
EDGES = (0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0)


def round_mxfp4(w):
    """The values gguf_io.quantize_mxfp4 would store: blocks of 32 along the last dimension."""
    x = w.detach().float().reshape(-1, 32)
    amax = x.abs().amax(dim=1, keepdim=True)
    _, e = torch.frexp(torch.where(amax > 0, amax, torch.ones_like(amax)))
    low = (e - 3).clamp(-126, 126)
    levels = torch.tensor(E2M1, device=x.device)
    edges = torch.tensor(EDGES, device=x.device)
    tried = []
    for exponent in (low, low + 1):
        scale = torch.ldexp(torch.ones_like(amax), exponent)
        y = levels[torch.bucketize((x / scale).abs(), edges)] * scale * torch.sign(x)
        tried.append((y, ((y - x) ** 2).sum(dim=1, keepdim=True)))
    (y0, e0), (y1, e1) = tried
    return torch.where(e1 < e0, y1, y0).reshape(w.shape)


def round_q8_0(w):
    """The values gguf_io.quantize_q8_0 would store."""
    x = w.detach().float().reshape(-1, 32)
    d = x.abs().amax(dim=1, keepdim=True) / 127
    v = x * torch.where(d > 0, 1 / d, torch.zeros_like(d))
    q = torch.sign(v) * torch.floor(v.abs() + 0.5)
    return (q * d.half().float()).reshape(w.shape)


class Straight(torch.autograd.Function):
    """Forward: the rounded weight.  Backward: as if it had not been rounded."""

    @staticmethod
    def forward(ctx, w, rounded):
        return rounded

    @staticmethod
    def backward(ctx, grad):
        return grad, None


def yarn_frequencies(c):
    """-> (inverse frequencies [head_dim/2], factor on cos and sin).  The correction range is not
    rounded to whole dimensions, as in gpt-oss's own configuration (truncate = false)."""
    half = c.head_dim // 2
    exponent = torch.arange(half, dtype=torch.float64) / half
    extrapolate = c.rope_base ** -exponent

    def dim(rotations):
        return half * math.log(c.rope_context / (rotations * 2 * math.pi)) / math.log(c.rope_base)

    low, high = max(dim(32.0), 0.0), min(dim(1.0), c.head_dim - 1)
    ramp = ((torch.arange(half, dtype=torch.float64) - low) / max(high - low, 1e-3)).clamp(0, 1)
    frequency = extrapolate / c.rope_factor * ramp + extrapolate * (1 - ramp)
    return frequency.float(), 0.1 * math.log(c.rope_factor) + 1.0


def rms_norm(x, weight, eps):
    y = x.float()
    return weight * (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + eps))


def rotate(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class Layer(nn.Module):
    def __init__(self, c, index):
        super().__init__()
        self.c, self.sliding = c, index % 2 == 0
        q, kv = c.n_head * c.head_dim, c.n_head_kv * c.head_dim

        def weight(*shape):
            return nn.Parameter(torch.randn(*shape) * 0.02)

        def zeros(*shape):
            return nn.Parameter(torch.zeros(*shape))

        self.attn_norm = nn.Parameter(torch.ones(c.n_embd))
        self.attn_q, self.attn_q_b = weight(q, c.n_embd), zeros(q)
        self.attn_k, self.attn_k_b = weight(kv, c.n_embd), zeros(kv)
        self.attn_v, self.attn_v_b = weight(kv, c.n_embd), zeros(kv)
        self.attn_output, self.attn_output_b = weight(c.n_embd, q), zeros(c.n_embd)
        self.attn_sinks = zeros(c.n_head)
        self.ffn_norm = nn.Parameter(torch.ones(c.n_embd))
        self.router, self.router_b = weight(c.n_expert, c.n_embd), zeros(c.n_expert)
        self.gate, self.gate_b = weight(c.n_expert, c.n_ff, c.n_embd), zeros(c.n_expert, c.n_ff)
        self.up, self.up_b = weight(c.n_expert, c.n_ff, c.n_embd), zeros(c.n_expert, c.n_ff)
        self.down, self.down_b = weight(c.n_expert, c.n_embd, c.n_ff), zeros(c.n_expert, c.n_embd)

    def attention(self, x, w, cos, sin, mask, cache):
        """x [B, T, n_embd]; mask [B or 1, 1, T, keys] true where a key may be seen."""
        c, (b, t, _) = self.c, x.shape
        q = F.linear(x, w("attn_q"), self.attn_q_b.to(x.dtype)).view(b, t, c.n_head, -1).transpose(1, 2)
        k = F.linear(x, w("attn_k"), self.attn_k_b.to(x.dtype)).view(b, t, c.n_head_kv, -1).transpose(1, 2)
        v = F.linear(x, w("attn_v"), self.attn_v_b.to(x.dtype)).view(b, t, c.n_head_kv, -1).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if cache is not None:
            cache.append(k, v)
            k, v = cache.k, cache.v
        group = c.n_head // c.n_head_kv
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        scores = (q @ k.transpose(-1, -2)) * c.head_dim ** -0.5
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        sinks = self.attn_sinks.to(scores.dtype).view(1, -1, 1, 1).expand(b, -1, t, 1)
        p = torch.softmax(torch.cat((scores, sinks), dim=-1), dim=-1, dtype=torch.float32)
        out = (p[..., :-1].to(x.dtype) @ v).transpose(1, 2).reshape(b, t, -1)
        return F.linear(out, w("attn_output"), self.attn_output_b.to(x.dtype))

    def moe(self, x, w, dtype):
        """x float32 -> (output, router logits [N, n_expert], chosen experts [N, k])"""
        c, shape = self.c, x.shape
        x = x.reshape(-1, c.n_embd)
        logits = F.linear(x, self.router, self.router_b)
        top, chosen = logits.topk(c.n_expert_used, dim=-1)
        scores = torch.zeros_like(logits).scatter(1, chosen, torch.softmax(top, dim=-1))
        x = x.to(dtype)
        many = x.expand(c.n_expert, -1, -1)
        gate = torch.baddbmm(self.gate_b.to(x.dtype)[:, None], many, w("gate").transpose(1, 2))
        up = torch.baddbmm(self.up_b.to(x.dtype)[:, None], many, w("up").transpose(1, 2))
        gate, up = gate.clamp(max=c.limit), up.clamp(-c.limit, c.limit)
        hidden = (up + 1) * gate * torch.sigmoid(gate * c.alpha)
        weight = scores.t()[..., None].to(x.dtype)                     # [n_expert, N, 1]
        # The router's weight is applied before the (linear) down projection: one sum over
        # experts and columns then does the rest.
        flat = (hidden * weight).permute(1, 0, 2).reshape(len(x), -1)
        down = w("down").permute(0, 2, 1).reshape(-1, c.n_embd)
        out = flat @ down + scores.to(x.dtype) @ self.down_b.to(x.dtype)
        return out.reshape(shape), logits, chosen


class Cache:
    def __init__(self):
        self.k = self.v = None

    def append(self, k, v):
        self.k = k if self.k is None else torch.cat((self.k, k), dim=2)
        self.v = v if self.v is None else torch.cat((self.v, v), dim=2)


class Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.c = config
        self.token_embd = nn.Parameter(torch.randn(config.n_vocab, config.n_embd) * 0.02)
        self.layers = nn.ModuleList([Layer(config, i) for i in range(config.n_layer)])
        self.output_norm = nn.Parameter(torch.ones(config.n_embd))
        self.output = nn.Parameter(torch.randn(config.n_vocab, config.n_embd) * 0.02)
        frequency, self.rope_scale = yarn_frequencies(config)
        self.register_buffer("frequency", frequency, persistent=False)
        self.qat, self.snapped, self.dropout = False, {}, 0.0

    @staticmethod
    def kind(name):
        """The tensor type that a parameter has in the GGUF."""
        last = name.rsplit(".", 1)[-1]
        if last in ("gate", "up", "down"):
            return "MXFP4"
        if last in ("attn_q", "attn_k", "attn_v", "attn_output", "token_embd", "output"):
            return "Q8_0"
        return "F32"

    @torch.no_grad()
    def round_all(self):
        """-> {parameter: its rounded value}; one pass over all weights of a type, as blocks do not
        care which tensor they lie in."""
        result = {}
        for kind, rounding in (("MXFP4", round_mxfp4), ("Q8_0", round_q8_0)):
            chosen = [p for n, p in self.named_parameters() if self.kind(n) == kind]
            flat = rounding(torch.cat([p.detach().flatten() for p in chosen]))
            parts = flat.split([p.numel() for p in chosen])
            result.update((p, part.view_as(p)) for p, part in zip(chosen, parts))
        return result

    def rounded(self, parameter, dtype):
        if self.qat and parameter in self.snapped:
            parameter = Straight.apply(parameter, self.snapped[parameter])
        return parameter.to(dtype)

    def masks(self, positions, keys, segments=None, key_segments=None):
        """Boolean masks for full and sliding layers, [B or 1, 1, T, K]."""
        distance = positions[:, :, None] - keys[:, None, :]
        full = distance >= 0
        if segments is not None:
            full = full & (segments[:, :, None] == key_segments[:, None, :])
        return full[:, None], (full & (distance < self.c.window))[:, None]

    def forward(self, ids, segments=None, caches=None, start=0, dtype=torch.float32, last=False):
        """ids [B, T] -> (logits, final hidden state, [(router logits, chosen)] per layer).
        segments [B, T]: tokens see only tokens of their own segment.  caches: one per layer."""
        if self.qat:
            self.snapped = self.round_all()
        b, t = ids.shape
        positions = torch.arange(start, start + t, device=ids.device)[None]
        keys = torch.arange(0, start + t, device=ids.device)[None]
        full, sliding = self.masks(positions, keys, segments, segments)
        angle = positions[0, :, None].float() * self.frequency
        cos = (angle.cos() * self.rope_scale).to(dtype)
        sin = (angle.sin() * self.rope_scale).to(dtype)
        drop = self.dropout if self.training else 0.0
        # The residual stream and the norms stay in float32; matrix products use dtype.
        x = F.embedding(ids, self.rounded(self.token_embd, torch.float32))
        x = F.dropout(x, drop)
        routes = []
        for i, layer in enumerate(self.layers):
            def w(name, layer=layer):
                return self.rounded(getattr(layer, name), dtype)
            mask = sliding if layer.sliding else full
            y = rms_norm(x, layer.attn_norm, self.c.rms_eps).to(dtype)
            y = layer.attention(y, w, cos, sin, mask, caches[i] if caches else None)
            x = x + F.dropout(y, drop)
            y, logits, chosen = layer.moe(rms_norm(x, layer.ffn_norm, self.c.rms_eps), w, dtype)
            x = x + F.dropout(y, drop)
            routes.append((logits, chosen))
        if last:
            x = x[:, -1:]
        hidden = rms_norm(x, self.output_norm, self.c.rms_eps)
        return F.linear(hidden.to(dtype), self.rounded(self.output, dtype)), hidden, routes

    @torch.no_grad()
    def bake(self):
        """Replace every weight by the value its GGUF type holds; afterwards qat changes nothing."""
        for parameter, value in self.round_all().items():
            parameter.copy_(value)
        self.qat, self.snapped = False, {}


# parameter of a layer -> name in the GGUF, after "blk.N."
LAYER_NAMES = {
    "attn_norm": "attn_norm.weight",
    "attn_q": "attn_q.weight", "attn_q_b": "attn_q.bias",
    "attn_k": "attn_k.weight", "attn_k_b": "attn_k.bias",
    "attn_v": "attn_v.weight", "attn_v_b": "attn_v.bias",
    "attn_output": "attn_output.weight", "attn_output_b": "attn_output.bias",
    "attn_sinks": "attn_sinks.weight",
    "ffn_norm": "post_attention_norm.weight",
    "router": "ffn_gate_inp.weight", "router_b": "ffn_gate_inp.bias",
    "gate": "ffn_gate_exps.weight", "gate_b": "ffn_gate_exps.bias",
    "up": "ffn_up_exps.weight", "up_b": "ffn_up_exps.bias",
    "down": "ffn_down_exps.weight", "down_b": "ffn_down_exps.bias",
}


def gguf_name(name):
    """Name of a Model parameter in the GGUF."""
    if name.startswith("layers."):
        _, index, rest = name.split(".")
        return f"blk.{index}.{LAYER_NAMES[rest]}"
    return name + ".weight"


def transformers_state(tensors, n_layer):
    """GGUF tensors (numpy, by GGUF name) -> state dict of transformers' GptOssForCausalLM."""
    import numpy as np

    def get(name):
        return torch.from_numpy(np.ascontiguousarray(tensors[name]))

    def interleave(gate, up):                     # [E, I, ...] each -> [E, 2I, ...], gate first
        return torch.stack((gate, up), dim=2).flatten(1, 2)

    state = {"model.embed_tokens.weight": get("token_embd.weight"),
             "model.norm.weight": get("output_norm.weight"), "lm_head.weight": get("output.weight")}
    for i in range(n_layer):
        b, p = f"blk.{i}.", f"model.layers.{i}."
        state[p + "input_layernorm.weight"] = get(b + "attn_norm.weight")
        state[p + "post_attention_layernorm.weight"] = get(b + "post_attention_norm.weight")
        for ours, theirs in (("attn_q", "q_proj"), ("attn_k", "k_proj"), ("attn_v", "v_proj"),
                             ("attn_output", "o_proj")):
            for part in ("weight", "bias"):
                state[f"{p}self_attn.{theirs}.{part}"] = get(f"{b}{ours}.{part}")
        state[p + "self_attn.sinks"] = get(b + "attn_sinks.weight")
        state[p + "mlp.router.weight"] = get(b + "ffn_gate_inp.weight")
        state[p + "mlp.router.bias"] = get(b + "ffn_gate_inp.bias")
        gate, up = get(b + "ffn_gate_exps.weight"), get(b + "ffn_up_exps.weight")
        state[p + "mlp.experts.gate_up_proj"] = interleave(gate, up).transpose(1, 2).contiguous()
        state[p + "mlp.experts.gate_up_proj_bias"] = interleave(
            get(b + "ffn_gate_exps.bias"), get(b + "ffn_up_exps.bias"))
        state[p + "mlp.experts.down_proj"] = get(b + "ffn_down_exps.weight").transpose(1, 2).contiguous()
        state[p + "mlp.experts.down_proj_bias"] = get(b + "ffn_down_exps.bias")
    return state


def transformers_model(config, tensors):
    """transformers' own class, eager attention, float32, filled from GGUF tensors."""
    from transformers import GptOssConfig, GptOssForCausalLM
    reference = GptOssForCausalLM(GptOssConfig(
        num_hidden_layers=config.n_layer, num_local_experts=config.n_expert,
        num_experts_per_tok=config.n_expert_used, vocab_size=config.n_vocab,
        hidden_size=config.n_embd, intermediate_size=config.n_ff, head_dim=config.head_dim,
        num_attention_heads=config.n_head, num_key_value_heads=config.n_head_kv,
        sliding_window=config.window, max_position_embeddings=config.context,
        rms_norm_eps=config.rms_eps, tie_word_embeddings=False, attn_implementation="eager",
        rope_parameters={"rope_type": "yarn", "rope_theta": config.rope_base,
                         "factor": config.rope_factor, "beta_fast": 32.0, "beta_slow": 1.0,
                         "truncate": False,
                         "original_max_position_embeddings": config.rope_context}))
    reference = reference.float().eval()
    left = reference.load_state_dict(transformers_state(tensors, config.n_layer), strict=True)
    assert not left.missing_keys and not left.unexpected_keys
    return reference
