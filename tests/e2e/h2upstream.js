// An upstream that speaks HTTP/2, and HTTP/1.1 if asked: h2upstream.js [CERT.pem]. Without a certificate: clear text.
// The header x-do says what becomes of a request. A line of JSON for all that happens.
const http2 = require("http2");
const crypto = require("crypto");
const fs = require("fs");
const pem = process.argv[2] && fs.readFileSync(process.argv[2]);
const server = pem ? http2.createSecureServer({ key: pem, cert: pem, allowHTTP1: true }) : http2.createServer();
const tell = (what) => console.log(JSON.stringify(what));
let sessions = 0;
server.on("session", (session) => { session.number = ++sessions; session.count = 0; session.on("error", () => {}); });
const ways = {
  json: (req, res, seen) => { res.setHeader("content-type", "application/json"); res.end(JSON.stringify(seen)); },
  events: (req, res) => {
    res.setHeader("content-type", "text/event-stream");
    let n = 0;
    const timer = setInterval(() => { res.write(`data: ${n++}\n\n`); if (n === 5) { clearInterval(timer); res.end(); } }, 200);
  },
  hold: (req, res) => { res.setHeader("content-type", "text/event-stream"); res.write("data: begin\n\n"); },
  wait: (req, res, seen) => setTimeout(() => ways.json(req, res, seen), 500),
  large: (req, res) => { res.end(Buffer.alloc(3000000, "x")); },
  trailers: (req, res) => { res.write("body"); if (res.stream) res.addTrailers({ "x-check": "1" }); res.end(); },
  refuse: (req, res, seen) => {
    if (!seen.token.endsWith("-0")) return ways.json(req, res, seen);
    res.statusCode = 503;
    ways.json(req, res, seen);
  },
  // a connection that has served a request ends, and this request on it was never begun
  leave: (req, res, seen) => {
    const session = req.stream && req.stream.session;
    if (!session || session.count < 2) return ways.json(req, res, seen);
    session.goaway(0, req.stream.id - 2);
    setImmediate(() => session.destroy());
  },
  // this connection answers and takes no further request
  last: (req, res, seen) => { ways.json(req, res, seen); if (req.stream) req.stream.session.close(); },
  // as a server that limits the requests of a connection
  some: (req, res, seen) => {
    setTimeout(() => ways.json(req, res, seen), 5);
    if (req.stream && req.stream.session.count === 20) req.stream.session.close();
  },
};
server.on("request", (req, res) => {
  const session = req.stream && req.stream.session;
  if (session) session.count++;
  const seen = { version: req.httpVersion, session: session ? session.number : 0, token: req.headers.authorization || "",
                 do: req.headers["x-do"] || "json", method: req.method, path: req.url, from: req.socket.remoteAddress,
                 headers: req.headers, bytes: 0 };
  res.on("close", () => tell({ ended: seen.do, complete: res.writableEnded }));
  req.on("data", (data) => { seen.bytes += data.length; });
  req.on("end", () => { tell(seen); ways[seen.do](req, res, seen); });
});
server.on("upgrade", (req, socket) => {
  const key = req.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " +
               crypto.createHash("sha1").update(key).digest("base64") + "\r\n\r\n");
  socket.on("error", () => {});
  tell({ upgraded: req.httpVersion });
});
server.listen(0, "127.0.0.1", () => tell({ port: server.address().port }));
