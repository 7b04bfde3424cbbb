// The application behind the proxy: it answers every request with what it got, and remembers it.
//
//   node application.mjs [--port 0] [--control-port 0] [--jwks URL] [--jwks-address HOST:PORT]
//
// `--jwks` is the JWKS's public address, as an application would configure it; `--jwks-address` is where to connect
// instead, with the public name in `Host`. Each request's assertion is then verified with jose, which shares no code
// with Vestibule. Control port: GET /__recorded, DELETE /__recorded.
// Prints one line of JSON once it listens; stops when standard input closes.

import http from 'node:http';
import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';

const { values: flags } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    'control-port': { type: 'string', default: '0' },
    jwks: { type: 'string' },
    'jwks-address': { type: 'string' },
  },
});

let recorded = [];

function pairs(rawHeaders) {
  const list = [];
  for (let i = 0; i < rawHeaders.length; i += 2) list.push([rawHeaders[i], rawHeaders[i + 1]]);
  return list;
}

function fetchJwks() {
  const url = new URL(flags.jwks);
  const target = new URL(`http://${flags['jwks-address'] ?? url.host}`);
  return new Promise((resolve, reject) => {
    const request = http.get({
      host: target.hostname,
      port: target.port || 80,
      path: url.pathname,
      headers: { host: url.host },
      timeout: 3000,
    });
    request.on('timeout', () => request.destroy(new Error('the JWKS did not come in time')));
    request.on('error', reject);
    request.on('response', async (response) => {
      const parts = [];
      for await (const part of response) parts.push(part);
      if (response.statusCode !== 200) return reject(new Error(`JWKS: status ${response.statusCode}`));
      try {
        resolve(createLocalJWKSet(JSON.parse(Buffer.concat(parts).toString())));
      } catch (error) {
        reject(error);
      }
    });
  });
}

let keys;

async function checkAssertion(request) {
  const sent = pairs(request.rawHeaders).filter(([name]) => name.toLowerCase() === 'x-pomerium-jwt-assertion');
  if (sent.length === 0 || (sent.length === 1 && sent[0][1] === '')) return null;
  if (sent.length > 1) return { valid: false, error: `${sent.length} assertions` };
  if (!flags.jwks) return { valid: false, error: 'no --jwks given' };
  const audience = (request.headers.host ?? '').replace(/:\d+$/, '');
  const options = { algorithms: ['ES256'], audience, requiredClaims: ['exp', 'iat', 'iss', 'sub'] };
  const verify = async () => {
    const { payload, protectedHeader } = await jwtVerify(sent[0][1], keys, options);
    return { valid: true, payload, header: protectedHeader };
  };
  try {
    keys ??= await fetchJwks();
    try {
      return await verify();
    } catch (error) {
      // A key that is not known yet: the set has rotated.
      if (error.code !== 'ERR_JWKS_NO_MATCHING_KEY') throw error;
      keys = await fetchJwks();
      return await verify();
    }
  } catch (error) {
    let header;
    try {
      header = decodeProtectedHeader(sent[0][1]);
    } catch {
      header = undefined;
    }
    return { valid: false, error: `${error.code ?? error.name}: ${error.message}`, header };
  }
}

async function describe(request, body) {
  return {
    method: request.method,
    url: request.url,
    version: request.httpVersion,
    headers: pairs(request.rawHeaders),
    trailers: pairs(request.rawTrailers ?? []),
    body,
    assertion: await checkAssertion(request),
  };
}

const application = http.createServer(async (request, response) => {
  const parts = [];
  try {
    for await (const part of request) parts.push(part);
  } catch {
    return; // the client went away in the middle of its body
  }
  const seen = await describe(request, Buffer.concat(parts).toString());
  recorded.push(seen);
  const text = JSON.stringify(seen, null, 2);
  response.writeHead(200, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    'x-application': 'recording',
  });
  response.end(text);
});
application.keepAliveTimeout = 60_000;

// A WebSocket that sends back whatever bytes it gets after the handshake, unparsed.
application.on('upgrade', async (request, socket, head) => {
  socket.on('error', () => socket.destroy());
  recorded.push({ ...(await describe(request, '')), upgrade: true });
  const key = request.headers['sec-websocket-key'] ?? '';
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
    + `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  if (head.length > 0) socket.write(head);
  socket.pipe(socket);
});

const control = http.createServer((request, response) => {
  if (request.url !== '/__recorded') return response.writeHead(404).end();
  const text = JSON.stringify(recorded);
  if (request.method === 'DELETE') recorded = [];
  response.writeHead(200, { 'content-type': 'application/json' }).end(text);
});

const listen = (server, port) => new Promise((resolve, reject) => {
  server.once('error', reject);
  server.listen(Number(port), '127.0.0.1', () => resolve(server.address().port));
});

const port = await listen(application, flags.port);
const controlPort = await listen(control, flags['control-port']);
process.stdout.write(`${JSON.stringify({ ready: true, port, control_port: controlPort })}\n`);

process.stdin.resume();
for (const event of ['end', 'close', 'error']) process.stdin.on(event, () => process.exit(0));
