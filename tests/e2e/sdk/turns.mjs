// Five turns with tool calls through the relay, with the defaults of the official SDKs; prints JSON.
// Usage: node turns.mjs URL KEY responses|chat|azure|messages|gemini
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import OpenAI, { AzureOpenAI } from 'openai';

const [url, key, api] = process.argv.slice(2);
const model = 'demo';
const command = { type: 'object', properties: { command: { type: 'string' } }, required: ['command'] };
const TURNS_MAX = 8;

const openai = () => new OpenAI({ baseURL: `${url}/v1`, apiKey: key });

// Each function makes a turn: it sends the conversation and returns the calls of tools, or the final text.
const apis = {
  responses() {
    const client = openai();
    const input = [{ role: 'user', content: 'Make five steps.' }];
    const tools = [{ type: 'function', name: 'bash', parameters: command, strict: false }];
    return async () => {
      let response;
      for await (const event of await client.responses.create({ model, input, tools, stream: true, store: false,
        include: ['reasoning.encrypted_content'] }))
        if (event.type === 'response.completed') response = event.response;
      input.push(...response.output);
      const calls = response.output.filter((item) => item.type === 'function_call');
      for (const call of calls) input.push({ type: 'function_call_output', call_id: call.call_id, output: 'ok' });
      return { calls: calls.length, text: calls.length ? '' : response.output.at(-1).content[0].text };
    };
  },
  azure() {
    return apis.chat(new AzureOpenAI({ endpoint: url, apiKey: key, apiVersion: '2024-10-21' }));
  },
  chat(client = openai()) {
    const messages = [{ role: 'user', content: 'Make five steps.' }];
    const tools = [{ type: 'function', function: { name: 'bash', parameters: command } }];
    return async () => {
      const { message } = (await client.chat.completions.stream({ model, messages, tools }).finalChatCompletion()).choices[0];
      messages.push(message);
      const calls = message.tool_calls ?? [];
      for (const call of calls) messages.push({ role: 'tool', tool_call_id: call.id, content: 'ok' });
      return { calls: calls.length, text: message.content ?? '' };
    };
  },
  gemini() {
    // it repeats nothing by itself
    const client = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: url, retryOptions: { attempts: 4 } } });
    const contents = [{ role: 'user', parts: [{ text: 'Make five steps.' }] }];
    const config = { tools: [{ functionDeclarations: [{ name: 'bash', parametersJsonSchema: command }] }] };
    return async () => {
      const parts = [];
      for await (const piece of await client.models.generateContentStream({ model, contents, config }))
        parts.push(...piece.candidates[0].content.parts);
      contents.push({ role: 'model', parts });
      const calls = parts.filter((part) => part.functionCall);
      if (calls.length)
        contents.push({ role: 'user', parts: calls.map(({ functionCall: { name } }) => (
          { functionResponse: { name, response: { output: 'ok' } } })) });
      return { calls: calls.length, text: calls.length ? '' : parts[0].text };
    };
  },
  messages() {
    const client = new Anthropic({ baseURL: url, apiKey: key });
    const messages = [{ role: 'user', content: 'Make five steps.' }];
    const tools = [{ name: 'bash', input_schema: command }];
    return async () => {
      const { content } = await client.messages.stream({ model, max_tokens: 100, messages, tools }).finalMessage();
      messages.push({ role: 'assistant', content });
      const calls = content.filter((block) => block.type === 'tool_use');
      if (calls.length)
        messages.push({ role: 'user', content: calls.map((call) => (
          { type: 'tool_result', tool_use_id: call.id, content: 'ok' })) });
      return { calls: calls.length, text: calls.length ? '' : content[0].text };
    };
  },
};

const turn = apis[api]();
const out = { calls: 0 };
try {
  while (out.text === undefined && out.calls < TURNS_MAX) {
    const { calls, text } = await turn();
    out.calls += calls;
    if (!calls) out.text = text;
  }
} catch (e) {
  const error = e.error?.error ?? e.error ?? {};
  out.error = { name: e.constructor.name, status: e.status, code: error.code, type: error.type, message: e.message };
}
console.log(JSON.stringify(out));
process.exitCode = out.error ? 1 : 0;
