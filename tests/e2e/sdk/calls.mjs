// Calls of the official SDKs through the relay; prints JSON.
// Usage: node calls.mjs URL OPENAI_KEY ANTHROPIC_KEY BAD_KEY REVOKED_KEY QUOTA_KEY SLOT_KEY
// QUOTA_KEY: its quota is used up. SLOT_KEY: its only slot is taken.
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';

const [url, openaiKey, anthropicKey, badKey, revokedKey, quotaKey, slotKey] = process.argv.slice(2);
const messages = [{ role: 'user', content: 'hi' }];
const out = {};

const openai = (apiKey) => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const anthropic = (apiKey) => new Anthropic({ baseURL: url, apiKey, maxRetries: 0 });

async function refusal(call, typed) {
  try {
    await call();
    return { raised: false };
  } catch (e) {
    return { raised: true, typed: e instanceof typed, status: e.status, code: e.code ?? e.error?.error?.code,
      type: e.type ?? e.error?.error?.type, requestId: e.requestID ?? e.request_id };
  }
}

const chat = await openai(openaiKey).chat.completions.create({ model: 'demo', messages });
out.chat = chat.choices[0].message.content;

out.chatStream = '';
for await (const part of await openai(openaiKey).chat.completions.create({ model: 'demo', messages, stream: true }))
  out.chatStream += part.choices[0]?.delta?.content ?? '';

out.response = (await openai(openaiKey).responses.create({ model: 'demo', input: 'hi' })).output_text;

out.responseStream = '';
for await (const event of await openai(openaiKey).responses.create({ model: 'demo', input: 'hi', stream: true }))
  if (event.type === 'response.output_text.delta') out.responseStream += event.delta;

const message = await anthropic(anthropicKey).messages.create({ model: 'demo', max_tokens: 10, messages });
out.message = message.content[0].text;

out.messageStream = '';
const stream = anthropic(anthropicKey).messages.stream({ model: 'demo', max_tokens: 10, messages });
stream.on('text', (text) => { out.messageStream += text; });
await stream.finalMessage();

out.refusals = {};
for (const [name, key] of [['bad', badKey], ['revoked', revokedKey]]) {
  out.refusals[`openai ${name}`] = await refusal(
    () => openai(key).chat.completions.create({ model: 'demo', messages }), OpenAI.AuthenticationError);
  out.refusals[`anthropic ${name}`] = await refusal(
    () => anthropic(key).messages.create({ model: 'demo', max_tokens: 10, messages }), Anthropic.AuthenticationError);
}

// With the SDK's own retries: how often it sends a request that is refused.
out.sent = {};
for (const [name, key] of [['quota', quotaKey], ['slot', slotKey]]) {
  for (const [sdk, Client, more] of [['openai', OpenAI, '/v1'], ['anthropic', Anthropic, '']]) {
    let sent = 0;
    const counted = (...args) => { sent += 1; return fetch(...args); };
    const client = new Client({ baseURL: url + more, apiKey: key, maxRetries: 1, fetch: counted });
    const body = { model: 'demo', max_tokens: 10, messages };
    const error = await refusal(() => (sdk === 'openai' ? client.chat.completions : client.messages).create(body), Client.RateLimitError);
    out.sent[`${sdk} ${name}`] = { sent, ...error };
  }
}
console.log(JSON.stringify(out));
