#!/usr/bin/env node
// llama_node_server.mjs -m MODEL --port P [-t N] [anything else is ignored]: a small server with OpenAI's routes over
// npm's node-llama-cpp, so that the bench measures an engine (llama.cpp's) and an HTTP stack (Node's) that nobody here wrote.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const npm = createRequire(path.join(import.meta.dirname, "../npm/package.json"));
const library = pathToFileURL(npm.resolve("node-llama-cpp")).href;
const { getLlama, LlamaCompletion, LlamaLogLevel } = await import(library);

function option(name, fallback) {
    const at = process.argv.indexOf(name);
    return at > 0 ? process.argv[at + 1] : fallback;
}

if (process.argv.includes("--version")) {
    console.log("llama_node_server over node-llama-cpp 3");
    process.exit(0);
}
const modelPath = option("-m");
const name = path.basename(modelPath, ".gguf");
let context;

async function load() {
    const llama = await getLlama({
        gpu: false, build: "never", skipDownload: true, logLevel: LlamaLogLevel.log, logger: (level, message) => console.log(message),
    });
    const model = await llama.loadModel({ modelPath });
    context = await model.createContext({ contextSize: 512, threads: Number(option("-t", "2")) });
}

async function complete(request, response) {
    const prompt = request.messages.map((message) => message.content).join("\n");
    const head = { id: "chatcmpl-1", object: "chat.completion.chunk", created: Math.floor(Date.now() / 1000), model: name };
    const send = (frame) => response.write(`data: ${typeof frame === "string" ? frame : JSON.stringify({ ...head, ...frame })}\r\n\r\n`);
    const choice = (delta, finish_reason = null) => ({ choices: [{ index: 0, delta, finish_reason }] });
    response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache" });
    response.write(": stream begins\r\n\r\n");
    send(choice({ role: "assistant" }));
    const sequence = context.getSequence();
    const completion = new LlamaCompletion({ contextSequence: sequence, autoDisposeSequence: true });
    let n = 0;
    const { metadata } = await completion.generateCompletionWithMeta(prompt, {
        maxTokens: request.max_tokens, temperature: request.temperature, seed: request.seed,
        onToken: (tokens) => { n += tokens.length; },
        onTextChunk: (text) => send(choice({ content: text })),
    });
    completion.dispose();
    send(choice({}, metadata.stopReason === "maxTokens" ? "length" : "stop"));
    send({ choices: [], usage: { prompt_tokens: context.model.tokenize(prompt).length, completion_tokens: n } });
    send("[DONE]");
    response.end();
}

function answer(response, status, body) {
    response.writeHead(status, { "Content-Type": "application/json" });
    response.end(JSON.stringify(body));
}

createServer((request, response) => {
    if (request.url === "/health")
        return answer(response, context ? 200 : 503, { status: context ? "ok" : "loading model" });
    if (request.url === "/v1/models")
        return answer(response, context ? 200 : 503, { object: "list", data: [{ id: name, object: "model" }] });
    if (request.method !== "POST" || request.url !== "/v1/chat/completions")
        return answer(response, 404, { error: { message: `there is nothing at ${request.url}` } });
    const pieces = [];
    request.on("data", (piece) => pieces.push(piece));
    return request.on("end", () => {
        complete(JSON.parse(Buffer.concat(pieces)), response).catch((error) => {
            console.log(error);
            response.destroy();
        });
    });
}).listen(Number(option("--port")), "127.0.0.1", load);
process.on("SIGTERM", () => process.exit(0));
