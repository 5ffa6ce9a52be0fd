// WebSockets over one HTTP/2 connection (RFC 8441), one for each key: a line for all that happens.
const http2 = require("http2");
const [url, path, ...keys] = process.argv.slice(2);
const tell = (...words) => console.log(words.join(" "));
const connection = http2.connect(url, { rejectUnauthorized: false });
connection.on("error", (error) => tell("error", error.message));
connection.on("remoteSettings", () => keys.forEach((key, i) => {
  const stream = connection.request({ ":method": "CONNECT", ":protocol": "websocket", ":path": path, ":scheme": "https",
                                      ":authority": "relay", "x-api-key": key, "sec-websocket-version": "13" });
  stream.on("response", (head) => { tell(i, "status", head[":status"]); stream.write(`hello ${i}`); });
  stream.on("data", (data) => tell(i, "data", data));
  stream.on("close", () => tell(i, "closed"));
  stream.on("error", () => {});
}));
