// One feature of one SDK through the relay, with the SDK's defaults; prints JSON: what the user's program gets.
// Usage: node features.mjs URL KEY CLIENT chat|stream|tools|files|large
import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { createOpenAI } from '@ai-sdk/openai';
import Anthropic, { toFile } from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import { ChatAnthropic } from '@langchain/anthropic';
import { tool as langchainTool } from '@langchain/core/tools';
import { ChatGoogleGenerativeAI } from '@langchain/google-genai';
import { ChatOpenAI } from '@langchain/openai';
import { generateText, jsonSchema, stepCountIs, streamText, tool, uploadFile } from 'ai';
import OpenAI, { AzureOpenAI } from 'openai';

const [url, key, name, feature] = process.argv.slice(2);
const model = 'demo';
const LARGE = 8 << 20;
const CONTENT = 'the content of a file\n'.repeat(5000);
const STEPS_MAX = 8;
const command = { type: 'object', properties: { command: { type: 'string' } }, required: ['command'] };

async function joined(pieces, textOf) {
  const out = { text: '', pieces: 0 };
  for await (const piece of pieces) {
    out.text += textOf(piece) ?? '';
    out.pieces += 1;
  }
  return out;
}

// Uploads, finds, reads and deletes a file of the OpenAI API.
async function openaiFiles(client) {
  const file = await client.files.create({ file: await toFile(Buffer.from(CONTENT), 'a.txt'), purpose: 'user_data' });
  const found = (await client.files.retrieve(file.id)).bytes;
  const listed = (await client.files.list()).data.some(({ id }) => id === file.id);
  const read = await (await client.files.content(file.id)).text();
  const { deleted } = await client.files.delete(file.id);
  return { kept: listed && deleted && found === CONTENT.length && read === CONTENT };
}

function openai(client) {
  const ask = (content) => client.chat.completions.create({ model, messages: [{ role: 'user', content }] });
  return {
    ask: async (content) => (await ask(content)).choices[0].message.content,
    stream: async () => joined(await client.chat.completions.create(
      { model, messages: [{ role: 'user', content: 'hi' }], stream: true }), (part) => part.choices[0]?.delta?.content),
    files: () => openaiFiles(client),
  };
}

function anthropic(client) {
  const body = (content) => ({ model, max_tokens: 100, messages: [{ role: 'user', content }] });
  return {
    ask: async (content) => (await client.messages.create(body(content))).content[0].text,
    stream: async () => joined(await client.messages.create({ ...body('hi'), stream: true }), (event) => event.delta?.text),
    async files() {
      const file = await client.beta.files.upload({ file: await toFile(Buffer.from(CONTENT), 'a.txt') });
      const found = (await client.beta.files.retrieveMetadata(file.id)).size_bytes;
      const listed = (await client.beta.files.list()).data.some(({ id }) => id === file.id);
      const read = await (await client.beta.files.download(file.id)).text();
      const deleted = (await client.beta.files.delete(file.id)).type === 'file_deleted';
      return { kept: listed && deleted && found === CONTENT.length && read === CONTENT };
    },
  };
}

function google(client) {
  return {
    ask: async (contents) => (await client.models.generateContent({ model, contents })).text,
    stream: async () => joined(await client.models.generateContentStream({ model, contents: 'hi' }), (piece) => piece.text),
    async files() {
      const file = await client.files.upload({ file: new Blob([CONTENT]), config: { mimeType: 'text/plain' } });
      const found = Number((await client.files.get({ name: file.name })).sizeBytes);
      await client.files.delete({ name: file.name });
      return { kept: found === CONTENT.length };
    },
  };
}

function aiSdk(provider) {
  const bash = tool({ inputSchema: jsonSchema(command), execute: async () => 'ok' });
  return {
    ask: async (prompt) => (await generateText({ model: provider(model), prompt })).text,
    stream: async () => joined(streamText({ model: provider(model), prompt: 'hi', onError({ error }) { throw error; } }).textStream, (text) => text),
    async tools() {
      const { text, steps } = await generateText({ model: provider(model), prompt: 'Make five steps.', tools: { bash },
        stopWhen: stepCountIs(STEPS_MAX) });
      return { text, calls: steps.flatMap((step) => step.toolCalls).length };
    },
    async files() {
      const { providerReference } = await uploadFile({ api: provider.files(), data: Buffer.from(CONTENT), mediaType: 'text/plain', filename: 'a.txt' });
      return { kept: Object.values(providerReference).length > 0 };
    },
  };
}

function langchain(client) {
  const bash = langchainTool(async () => 'ok', { name: 'bash', description: 'A shell', schema: command });
  return {
    ask: async (text) => (await client.invoke(text)).text,
    stream: async () => joined(await client.stream('hi'), (piece) => piece.text),
    async tools() {
      const withTools = client.bindTools([bash]);
      const messages = [{ role: 'user', content: 'Make five steps.' }];
      for (let calls = 0; calls < STEPS_MAX;) {
        const answer = await withTools.invoke(messages);
        messages.push(answer);
        if (!answer.tool_calls.length) return { text: answer.text, calls };
        for (const call of answer.tool_calls) messages.push(await bash.invoke(call));
        calls += answer.tool_calls.length;
      }
      return { calls: STEPS_MAX };
    },
  };
}

const clients = {
  'OpenAI SDK': () => openai(new OpenAI({ baseURL: `${url}/v1`, apiKey: key })),
  'Azure client': () => openai(new AzureOpenAI({ endpoint: url, apiKey: key, apiVersion: '2024-10-21' })),
  'Anthropic SDK': () => anthropic(new Anthropic({ baseURL: url, apiKey: key })),
  'Google SDK': () => google(new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: url } })),
  'AI SDK, OpenAI': () => aiSdk(createOpenAI({ baseURL: `${url}/v1`, apiKey: key })),
  'AI SDK, Anthropic': () => aiSdk(createAnthropic({ baseURL: `${url}/v1`, apiKey: key })),
  'AI SDK, Google': () => aiSdk(createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey: key })),
  'LangChain, OpenAI': () => langchain(new ChatOpenAI({ model, apiKey: key, configuration: { baseURL: `${url}/v1` } })),
  'LangChain, Anthropic': () => langchain(new ChatAnthropic({ model, apiKey: key, anthropicApiUrl: url })),
  'LangChain, Google': () => langchain(new ChatGoogleGenerativeAI({ model, apiKey: key, baseUrl: url })),
};

let out;
try {
  const client = clients[name]();
  if (feature === 'chat') out = { text: await client.ask('hi') };
  else if (feature === 'large') out = { text: await client.ask('x'.repeat(LARGE)) };
  else out = await client[feature]();
} catch (e) {
  const last = e.lastError ?? e;
  out = { error: `${e.name}: ${e.message}`, status: last.statusCode ?? last.status };
}
console.log(JSON.stringify(out));
process.exitCode = out.error ? 1 : 0;
