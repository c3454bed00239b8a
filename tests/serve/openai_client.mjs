// openai_client.mjs NODE_MODULES URL KEY: what OpenAI's own Node client makes of the server's answers.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import path from 'node:path';

const [modules, url, apiKey] = process.argv.slice(2);
const require = createRequire(path.join(path.resolve(modules), 'x.js'));
const { default: OpenAI } = require('openai');
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0, timeout: 60000 });
const ask = { model: 'demo', messages: [{ role: 'user', content: 'Write a haiku about AI' }], temperature: 0, max_tokens: 100 };

const tests = {
  async 'models are listed and found'() {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    assert.deepEqual(ids, ['demo']);
    assert.equal((await client.models.retrieve('demo')).object, 'model');
    await assert.rejects(client.models.retrieve('other'), OpenAI.NotFoundError);
  },

  async 'a chat, whole and streamed, is one text'() {
    const whole = await client.chat.completions.create(ask);
    assert.equal(whole.object, 'chat.completion');
    assert.equal(whole.choices[0].finish_reason, 'stop');
    assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens);
    const stream = await client.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } });
    let text = '', finish, usage, role;
    for await (const chunk of stream) {
      role ??= chunk.choices[0]?.delta.role;
      text += chunk.choices[0]?.delta.content ?? '';
      finish = chunk.choices[0]?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
    }
    assert.equal(role, 'assistant');
    assert.equal(text, whole.choices[0].message.content);
    assert.equal(finish, 'stop');
    assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
    const runner = client.chat.completions.stream(ask); // the client's own assembly of deltas
    assert.equal(await runner.finalContent(), text);
  },

  async 'content may come in text parts'() {
    const parts = [{ type: 'text', text: 'Write a haiku ' }, { type: 'text', text: 'about AI' }];
    const [joined, plain] = await Promise.all([
      client.chat.completions.create({ ...ask, messages: [{ role: 'user', content: parts }] }),
      client.chat.completions.create(ask),
    ]);
    assert.equal(joined.choices[0].message.content, plain.choices[0].message.content);
    assert.equal(joined.usage.prompt_tokens, plain.usage.prompt_tokens);
  },

  async 'logprobs belong to the content'() {
    const { choices } = await client.chat.completions.create({ ...ask, logprobs: true, top_logprobs: 2 });
    const entries = choices[0].logprobs.content;
    assert.equal(entries.map((e) => e.token).join(''), choices[0].message.content);
    const bytes = Buffer.from(entries.flatMap((e) => e.bytes)).toString();
    assert.equal(bytes, choices[0].message.content);
    for (const entry of entries) {
      assert.ok(entry.logprob <= 0);
      assert.equal(entry.top_logprobs.length, 2);
      assert.equal(entry.top_logprobs[0].token, entry.token); // temperature 0 takes the likeliest
      assert.ok(entry.top_logprobs[0].logprob >= entry.top_logprobs[1].logprob);
    }
    const stream = await client.chat.completions.create({ ...ask, logprobs: true, stream: true });
    let tokens = '';
    for await (const chunk of stream) {
      const content = chunk.choices[0]?.logprobs?.content ?? [];
      tokens += content.map((e) => e.token).join('');
    }
    assert.equal(tokens, choices[0].message.content);
  },

  async 'completions and their logprobs'() {
    const request = { model: 'demo', prompt: 'The', max_tokens: 12, temperature: 0, logprobs: 2 };
    const whole = await client.completions.create(request);
    assert.equal(whole.object, 'text_completion');
    assert.equal(whole.usage.completion_tokens, whole.choices[0].logprobs.tokens.length);
    assert.equal(whole.choices[0].logprobs.tokens.join(''), whole.choices[0].text);
    let text = '';
    for await (const chunk of await client.completions.create({ ...request, stream: true })) text += chunk.choices[0]?.text ?? '';
    assert.equal(text, whole.choices[0].text);
  },

  async 'stop ends before its string'() {
    const whole = await client.chat.completions.create(ask);
    const text = whole.choices[0].message.content;
    const stop = text.slice(8, 14);
    const cut = await client.chat.completions.create({ ...ask, stop: [stop] });
    assert.equal(cut.choices[0].message.content, text.slice(0, text.indexOf(stop)));
    assert.equal(cut.choices[0].finish_reason, 'stop');
    for (const stream of [false, true]) { // logprobs end with the token that the content ends in
      let content = '', tokens = [];
      const answer = await client.chat.completions.create({ ...ask, stop: [stop], logprobs: true, stream });
      for await (const part of stream ? answer : [answer]) {
        content += (part.choices[0]?.delta ?? part.choices[0]?.message)?.content ?? '';
        tokens.push(...(part.choices[0]?.logprobs?.content ?? []).map((entry) => entry.token));
      }
      assert.equal(content, text.slice(0, text.indexOf(stop)));
      assert.ok(tokens.join('').startsWith(content));
      assert.ok(tokens.slice(0, -1).join('').length < content.length);
    }
  },

  async 'embeddings, as the client asks for them and as floats'() {
    const input = ['a cat sat', 'a dog sat'];
    const encoded = await client.embeddings.create({ model: 'demo', input }); // base64 on the wire
    const floats = await client.embeddings.create({ model: 'demo', input, encoding_format: 'float' });
    assert.equal(encoded.data.length, 2);
    assert.ok(encoded.usage.prompt_tokens > 0);
    for (let i = 0; i < 2; i++) {
      const [a, b] = [encoded.data[i].embedding, floats.data[i].embedding];
      assert.equal(a.length, b.length);
      assert.ok(Math.abs(a.reduce((sum, x) => sum + x * x, 0) - 1) < 1e-4);
      assert.ok(Math.max(...a.map((x, j) => Math.abs(x - b[j]))) < 1e-6);
    }
  },

  async 'eight requests at once'() {
    const wanted = (await client.chat.completions.create(ask)).choices[0].message.content;
    const all = await Promise.all(Array.from({ length: 8 }, () => client.chat.completions.create(ask)));
    for (const one of all) assert.equal(one.choices[0].message.content, wanted);
  },

  async 'abort ends the job'() {
    const gone = async () => Number(/^seesaw_clients_gone_total (\d+)$/m.exec(
      await (await fetch(`${url}/metrics`, { headers: { Authorization: `Bearer ${apiKey}` } })).text())[1]);
    const before = await gone();
    const stream = await client.chat.completions.create({ ...ask, max_tokens: 1900, ignore_eos: true, stream: true });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break; // leaving the loop aborts
    for (let tries = 0; (await gone()) === before; tries++) {
      assert.ok(tries < 100, 'the server did not notice');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  },

  async 'errors have their classes'() {
    const chat = (body) => client.chat.completions.create({ ...ask, ...body });
    await assert.rejects(chat({ temperature: 'hot' }), (error) =>
      error instanceof OpenAI.BadRequestError && error.status === 400 && error.param === 'temperature');
    await assert.rejects(chat({ n: 2 }), OpenAI.BadRequestError);
    await assert.rejects(chat({ messages: [] }), OpenAI.BadRequestError);
    await assert.rejects(chat({ messages: [{ role: 'user', content: 'word '.repeat(20000) }] }), (error) =>
      error instanceof OpenAI.BadRequestError && error.code === 'context_length_exceeded');
    const stranger = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'wrong', maxRetries: 0 });
    await assert.rejects(stranger.chat.completions.create(ask), (error) =>
      error instanceof OpenAI.AuthenticationError && error.code === 'invalid_api_key');
    await assert.rejects(client.post('/nothing', { body: {} }), OpenAI.NotFoundError);
  },
};

let failures = 0;
for (const [name, run] of Object.entries(tests)) {
  try {
    await run();
    console.log(`ok: ${name}`);
  } catch (error) {
    failures++;
    console.log(`not ok: ${name}\n${error.stack}`);
  }
}
process.exit(failures ? 1 : 0);
