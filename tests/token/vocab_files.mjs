// What the export scripts share: GGUF files of keys only, the texts that hurt, and the file of expected ids that
// test_tokenizer_reference.c reads: for each text its length, its bytes, the number of ids, the ids.
//
// Left out of the texts is what JavaScript's \s has otherwise than the publishers' engines (U+0085, U+FEFF) and letters
// newer than Unicode 14.
import { writeFileSync } from "node:fs";

// ---- GGUF ----
const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32LE(n); return b; };
const u64 = (n) => { const b = Buffer.alloc(8); b.writeBigUInt64LE(BigInt(n)); return b; };
const text = (s) => { const b = Buffer.from(s); return Buffer.concat([u64(b.length), b]); };
export const keyText = (key, s) => Buffer.concat([text(key), u32(8), text(s)]);
export const keyU32 = (key, n) => Buffer.concat([text(key), u32(4), u32(n)]);
export const keyTexts = (key, list) => Buffer.concat([text(key), u32(9), u32(8), u64(list.length), ...list.map(text)]);
export const keyI32s = (key, list) =>
    Buffer.concat([text(key), u32(9), u32(5), u64(list.length), Buffer.from(new Int32Array(list).buffer)]);
export const keyBool = (key, on) => Buffer.concat([text(key), u32(7), Buffer.from([on ? 1 : 0])]);
export const keyF32s = (key, list) =>
    Buffer.concat([text(key), u32(9), u32(6), u64(list.length), Buffer.from(new Float32Array(list).buffer)]);

export const writeKeys = (path, keys) =>
    writeFileSync(path, Buffer.concat([Buffer.from("GGUF"), u32(3), u64(0), u64(keys.length), ...keys]));

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

export const hurtfulTexts = (nRandom) => [...fixedTexts, ...randomTexts(nRandom)];

export function writeExpected(path, texts, encode) {
    const parts = [];
    for (const s of texts) {
        const bytes = Buffer.from(s), ids = encode(s);
        parts.push(u32(bytes.length), bytes, u32(ids.length), Buffer.from(new Int32Array(ids).buffer));
    }
    writeFileSync(path, Buffer.concat(parts));
}
