// render_chats.mjs NODE_MODULES MODEL.gguf OUT: conversations as the model's own chat template renders them, run by
// @huggingface/jinja, for test_chat_reference.c.
//
// OUT holds for each conversation: effort, number of messages, for each its role and content, then the rendered text, or
// the length 2^32-1 where the template raises an exception. MODEL.gguf.tokens, where there is one, has what the template
// is told beside the messages: bos_token and eos_token, as JSON. Only harmony's templates know the role "developer": to
// the others it is "system".
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [nodeModules, model, out] = process.argv.slice(2);
const { Template } = createRequire(join(nodeModules, "x.js"))("@huggingface/jinja");

// The template's strftime_now reads the clock: it stands still.
process.env.TZ = "UTC";
globalThis.Date = class extends Date {
    constructor(...given) { super(...(given.length ? given : [Date.UTC(2025, 10, 1, 12)])); }
};

const roles = ["system", "developer", "user", "assistant"]; // in the order of ssw_chat_role
const efforts = [undefined, "low", "medium", "high"]; // of ssw_chat_effort
const long = "All work and no play makes Jack a dull boy.\n".repeat(200);
const conversations = [
    [0, []],
    [0, [["user", "Hello!"]]],
    [1, [["user", "  leading and trailing spaces  \n"]]],
    [2, [["system", "You are a pirate."], ["user", "Who are you?"]]],
    [3, [["developer", "Answer in French.\nBe brief."], ["user", "Hi"], ["assistant", "Salut !"], ["user", "And now?"]]],
    [0, [["system", ""], ["user", "empty instructions"]]],
    [0, [["user", ""], ["assistant", ""], ["user", "👩‍👩‍👧 中文 العربية e\u0301"]]],
    [3, [["user", "def f():\n    return 1\n"], ["assistant", "```python\nprint(1)\n```\n"], ["user", "thanks"], ["assistant", "Welcome."]]],
    [0, [["user", "<think>a"], ["assistant", "<think>\nhm\n</think>\n\nWell. "], ["user", " so?"]]],
    [0, [["user", "a"], ["assistant", "\nb"]]],
    [0, [["system", "One."], ["user", "a"], ["system", "Two."], ["user", "b"]]],
    [0, [["system", long], ["user", long], ["assistant", long], ["user", "# Instructions\n\n"]]],
];

// The template, from the GGUF's bytes: its key, type 8 (string), length, text.
const bytes = readFileSync(model);
const key = Buffer.from("tokenizer.chat_template");
const at = bytes.indexOf(key) + key.length + 4;
const source = bytes.subarray(at + 8, at + 8 + Number(bytes.readBigUInt64LE(at))).toString();
const template = new Template(source);

const isHarmony = source.includes("<|channel|>");
const tokens = existsSync(model + ".tokens") ? JSON.parse(readFileSync(model + ".tokens")) : {};
const render = (effort, list) => {
    try {
        return template.render({
            ...tokens,
            messages: list.map(([role, content]) => ({ role: role === "developer" && !isHarmony ? "system" : role, content })),
            add_generation_prompt: true,
            ...(efforts[effort] ? { reasoning_effort: efforts[effort] } : {}),
        });
    } catch (error) {
        if (!source.includes("raise_exception")) throw error;
        return null;
    }
};

const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32LE(n); return b; };
const text = (s) => { const b = Buffer.from(s); return Buffer.concat([u32(b.length), b]); };
const parts = [];
for (const [effort, list] of conversations) {
    if (list.length === 0 && source.includes("messages[0]")) continue; // that template asks for a first message
    const isLate = list.some(([role], i) => i > 0 && role === "system");
    if (isLate && source.includes("Knowledge cutoff")) continue; // that template drops the message, seesaw refuses
    const rendered = render(effort, list);
    parts.push(u32(effort), u32(list.length));
    for (const [role, content] of list) parts.push(u32(roles.indexOf(role)), text(content));
    parts.push(rendered === null ? u32(0xffffffff) : text(rendered));
}
writeFileSync(out, Buffer.concat(parts));
