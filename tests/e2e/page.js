// What the script of a page does for a feature; the answer is JSON.
async (url, key, feature) => {
  const ask = (path, options = {}) => fetch(url + path, { ...options, headers: { 'X-API-Key': key, ...options.headers } });
  const chat = async (more) => {
    const answer = await ask('/v1/chat/completions', { method: 'POST', headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ model: 'demo', messages: [{ role: 'user', content: 'hi' }], ...more }) });
    return { ok: answer.ok && answer.headers.has('X-Request-Id'), text: await answer.text() };
  };
  const features = {
    chat,
    stream: () => chat({ stream: true }),
    tools: () => chat({ tools: [{ type: 'function', function: { name: 'bash', parameters: { type: 'object' } } }] }),
    large: () => chat({ messages: [{ role: 'user', content: 'x'.repeat(8 << 20) }] }),
    async files() {
      const content = 'the content of a file\n'.repeat(5000);
      const form = new FormData();
      form.append('purpose', 'user_data');
      form.append('file', new Blob([content]), 'a.txt');
      const file = await (await ask('/v1/files', { method: 'POST', body: form })).json();
      const listed = (await (await ask('/v1/files')).json()).data.some(({ id }) => id === file.id);
      const read = await (await ask(`/v1/files/${file.id}/content`)).text();
      const { deleted } = await (await ask(`/v1/files/${file.id}`, { method: 'DELETE' })).json();
      return { ok: listed && deleted && read === content, text: JSON.stringify(file) };
    },
  };
  try {
    return JSON.stringify(await features[feature]());
  } catch (e) {
    return JSON.stringify({ ok: false, text: String(e) });
  }
}
