"""Writes a Model as a GGUF with the metadata and names llama.cpp's converter gives gpt-oss."""
import gguf_io
from model import Config, gguf_name

# Renders what the model was trained on.  Past assistant turns keep only the final channel.
CHAT_TEMPLATE = (
    "{%- for m in messages -%}"
    "{%- if m.role == 'assistant' -%}"
    "<|start|>assistant<|channel|>final<|message|>{{ m.content }}"
    "{%- if loop.last and not add_generation_prompt -%}<|return|>{%- else -%}<|end|>{%- endif -%}"
    "{%- elif m.role == 'system' or m.role == 'developer' -%}"
    "<|start|>developer<|message|>{{ m.content }}<|end|>"
    "{%- else -%}"
    "<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|start|>assistant{%- endif -%}")

CONTROL, NORMAL = 3, 1
FILE_TYPE = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7, "BF16": 32, "MXFP4": 38}


def vocabulary(writer, tokenizer, n_vocab):
    writer.add("tokenizer.ggml.model", "str", "gpt2")
    writer.add("tokenizer.ggml.pre", "str", "gpt-4o")
    assert len(tokenizer.tokens) == n_vocab
    writer.add("tokenizer.ggml.tokens", "[str]", tokenizer.tokens)
    writer.add("tokenizer.ggml.token_type", "[i32]",
               [CONTROL if t in tokenizer.special else NORMAL for t in tokenizer.tokens])
    writer.add("tokenizer.ggml.merges", "[str]", [" ".join(m) for m in tokenizer.merges])
    writer.add("tokenizer.ggml.bos_token_id", "u32", tokenizer.special["<|startoftext|>"])
    writer.add("tokenizer.ggml.eos_token_id", "u32", tokenizer.special["<|return|>"])
    writer.add("tokenizer.ggml.padding_token_id", "u32", tokenizer.special["<|endoftext|>"])
    writer.add("tokenizer.ggml.add_bos_token", "bool", False)


def metadata(writer, config, tokenizer, name, file_type, size_label=None, chat_template=CHAT_TEMPLATE,
             description=None):
    c, a = config, "gpt-oss."
    writer.add("general.architecture", "str", "gpt-oss")
    writer.add("general.type", "str", "model")
    writer.add("general.name", "str", name)
    if size_label:
        writer.add("general.size_label", "str", size_label)
    writer.add("general.license", "str", "mit")
    if description:
        writer.add("general.description", "str", description)
    writer.add(a + "block_count", "u32", c.n_layer)
    writer.add(a + "context_length", "u32", c.context)
    writer.add(a + "embedding_length", "u32", c.n_embd)
    writer.add(a + "feed_forward_length", "u32", c.n_ff)
    writer.add(a + "attention.head_count", "u32", c.n_head)
    writer.add(a + "attention.head_count_kv", "u32", c.n_head_kv)
    writer.add(a + "rope.scaling.type", "str", "yarn")
    writer.add(a + "rope.scaling.factor", "f32", c.rope_factor)
    writer.add(a + "rope.scaling.original_context_length", "u32", c.rope_context)
    writer.add(a + "rope.scaling.yarn_beta_fast", "f32", 32.0)
    writer.add(a + "rope.scaling.yarn_beta_slow", "f32", 1.0)
    writer.add(a + "rope.freq_base", "f32", c.rope_base)
    writer.add(a + "attention.layer_norm_rms_epsilon", "f32", c.rms_eps)
    writer.add(a + "expert_count", "u32", c.n_expert)
    writer.add(a + "expert_used_count", "u32", c.n_expert_used)
    writer.add(a + "attention.key_length", "u32", c.head_dim)
    writer.add(a + "attention.value_length", "u32", c.head_dim)
    writer.add("general.file_type", "u32", FILE_TYPE[file_type])
    writer.add(a + "attention.sliding_window", "u32", c.window)
    writer.add(a + "expert_feed_forward_length", "u32", c.n_ff)
    writer.add("general.quantization_version", "u32", 2)
    vocabulary(writer, tokenizer, c.n_vocab)
    if chat_template:
        writer.add("tokenizer.chat_template", "str", chat_template)


def export(path, model, tokenizer, name="seesaw-demo", description=None):
    """model must be baked: what is written decodes to exactly its weights (asserted)."""
    import numpy as np
    writer = gguf_io.Writer()
    total = sum(p.numel() for p in model.parameters())
    metadata(writer, model.c, tokenizer, name, "MXFP4", size_label=f"{model.c.n_expert}x{total / 1e6:.0f}M",
             description=description)
    for parameter_name, parameter in model.named_parameters():
        array = parameter.detach().float().cpu().numpy()
        kind = model.kind(parameter_name)
        writer.add_tensor(gguf_name(parameter_name), array, kind)
        back = gguf_io.decode(writer.tensors[-1][3], kind, array.shape)
        worst = float(np.abs(back - array).max())
        assert worst <= (0 if kind != "Q8_0" else 1e-7), f"{parameter_name}: {worst}"
    writer.write(path)


def load(path):
    """-> (Model in float32, metadata)"""
    import torch
    from model import Model
    meta, tensors = gguf_io.read(path)
    a = "gpt-oss."
    config = Config(
        n_vocab=len(meta["tokenizer.ggml.tokens"]), n_layer=meta[a + "block_count"],
        n_embd=meta[a + "embedding_length"], n_head=meta[a + "attention.head_count"],
        n_head_kv=meta[a + "attention.head_count_kv"], head_dim=meta[a + "attention.key_length"],
        n_ff=meta[a + "expert_feed_forward_length"], n_expert=meta[a + "expert_count"],
        n_expert_used=meta[a + "expert_used_count"], window=meta[a + "attention.sliding_window"],
        context=meta[a + "context_length"], rope_base=meta[a + "rope.freq_base"],
        rope_factor=meta[a + "rope.scaling.factor"],
        rope_context=meta[a + "rope.scaling.original_context_length"],
        rms_eps=meta[a + "attention.layer_norm_rms_epsilon"])
    model = Model(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(tensors[gguf_name(name)][1]))
    return model.eval(), meta


def tokenizer_of(meta):
    from tokenizer import SPECIAL, Tokenizer
    merges = [m.split(" ") for m in meta["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(merges)
    assert tokenizer.tokens == meta["tokenizer.ggml.tokens"] and tokenizer.tokens[-len(SPECIAL):] == SPECIAL
    return tokenizer
