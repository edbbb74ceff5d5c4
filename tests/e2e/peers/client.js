// Node.js as a client: node client.js PORT http|http2|fetch. Prints "ok NAME" for each story of that
// library against the origin of mesh.py; one that fails ends the program.
'use strict';
const assert = require('assert');
const crypto = require('crypto');
const http = require('http');
const http2 = require('http2');
const {once} = require('events');
const {Readable} = require('stream');

const [port, library] = process.argv.slice(2);
const base = 'http://127.0.0.1:' + port;
const BIG = 300000;

function pattern(size) {
  const parts = [];
  for (let number = 0; number * 8 <= size; ++number) parts.push(String(number).padStart(7, '0') + '\n');
  return Buffer.from(parts.join('')).subarray(0, size);
}
const sha = (bytes) => crypto.createHash('sha256').update(bytes).digest('hex');
function same(bytes, expected) {
  assert.strictEqual(bytes.length, expected.length);
  assert.strictEqual(sha(bytes), sha(expected));
}
async function all(readable) {
  const parts = [];
  for await (const part of readable) parts.push(part);
  return Buffer.concat(parts);
}
function pieces(bytes, size = 7001) {
  return Readable.from((function* () {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  })());
}
const times = (count, what) => Promise.all(Array.from({length: count}, (_, index) => what(index)));

// ---- http -----------------------------------------------------------------------------------

const agent = new http.Agent({keepAlive: true, maxSockets: 8});

async function ask(path, {method = 'GET', headers = {}, body, onRequest} = {}) {
  const request = http.request(base + path, {agent, method, headers});
  const answered = once(request, 'response');
  if (onRequest) onRequest(request);
  if (body instanceof Readable) body.pipe(request);
  else if (headers.expect === undefined) request.end(body);
  const [response] = await answered;
  const bytes = await all(response);
  return {status: response.statusCode, headers: response.headers, trailers: response.trailers, bytes};
}

const withHttp = {
  async downloads() {
    await times(40, async (n) => same((await ask('/bytes/' + n * 5000)).bytes, pattern(n * 5000)));
  },
  async upload_with_a_length() {
    const body = pattern(BIG);
    same((await ask('/echo', {method: 'POST', headers: {'content-length': BIG}, body})).bytes, body);
  },
  async upload_in_chunks() {
    same((await ask('/echo', {method: 'POST', body: pieces(pattern(BIG))})).bytes, pattern(BIG));
  },
  async trailers() {
    const {bytes, trailers} = await ask('/chunked', {headers: {te: 'trailers'}});
    assert.deepStrictEqual([bytes.toString(), trailers['x-checksum']], ['first second third', '12345']);
  },
  async head_and_statuses_without_body() {
    const head = await ask('/bytes/12345', {method: 'HEAD'});
    assert.deepStrictEqual([head.status, head.headers['content-length'], head.bytes.length], [200, '12345', 0]);
    for (const status of [204, 304, 404, 503]) assert.strictEqual((await ask('/status/' + status)).status, status);
  },
  async expect_continue() {
    const body = pattern(70000);
    const {bytes} = await ask('/echo', {
      method: 'POST', headers: {expect: '100-continue', 'content-length': body.length},
      onRequest: (request) => { request.flushHeaders(); request.on('continue', () => request.end(body)); }});
    same(bytes, body);
  },
  async early_hints() {
    let hints = 0;
    await ask('/interim', {onRequest: (request) => request.on('information', ({statusCode}) => { hints = statusCode; })});
    assert.strictEqual(hints, 103);
  },
  async aborted_downloads() {
    await times(10, async () => {
      const request = http.get(base + '/bytes/5000000', {agent});
      const [response] = await once(request, 'response');
      await once(response, 'data');
      response.destroy();
    });
    same((await ask('/bytes/1000')).bytes, pattern(1000));
  },
};

// ---- http2 ----------------------------------------------------------------------------------

let session;

async function call(path, {method = 'GET', headers = {}, body} = {}) {
  const stream = session.request({':path': path, ':method': method, ...headers}, {endStream: method === 'GET' || method === 'HEAD'});
  let trailers = {};
  let interim = 0;
  stream.on('trailers', (fields) => { trailers = fields; });
  stream.on('headers', (fields) => { interim = fields[':status']; });
  if (body instanceof Readable) body.pipe(stream);
  else if (body !== undefined) stream.end(body);
  const [answer] = await once(stream, 'response');
  const bytes = await all(stream);
  return {status: answer[':status'], headers: answer, bytes, trailers, interim};
}

const withHttp2 = {
  async downloads() {
    await times(60, async (n) => same((await call('/bytes/' + n * 5000)).bytes, pattern(n * 5000)));
  },
  async uploads() {
    await times(10, async () => same((await call('/echo', {method: 'POST', body: pieces(pattern(BIG))})).bytes, pattern(BIG)));
  },
  async trailers() {
    const {bytes, trailers} = await call('/chunked', {headers: {te: 'trailers'}});
    assert.deepStrictEqual([bytes.toString(), trailers['x-checksum']], ['first second third', '12345']);
  },
  async head_and_statuses_without_body() {
    const head = await call('/bytes/12345', {method: 'HEAD'});
    assert.deepStrictEqual([head.status, head.headers['content-length'], head.bytes.length], [200, '12345', 0]);
    for (const status of [204, 304, 404, 503]) assert.strictEqual((await call('/status/' + status)).status, status);
  },
  async early_hints() {
    assert.strictEqual((await call('/interim')).interim, 103);
  },
  async cancelled_streams() {
    await times(20, async () => {
      const stream = session.request({':path': '/bytes/5000000'});
      await once(stream, 'data');
      stream.close(http2.constants.NGHTTP2_CANCEL);
      await once(stream, 'close');
    });
    same((await call('/bytes/1000')).bytes, pattern(1000));
  },
  async ping() {
    await new Promise((resolve, reject) => session.ping((error) => error ? reject(error) : resolve()));
  },
};

// ---- fetch ----------------------------------------------------------------------------------

const fetched = async (path, options) => {
  const response = await fetch(base + path, options);
  return {status: response.status, headers: response.headers, bytes: Buffer.from(await response.arrayBuffer())};
};

const withFetch = {
  async downloads() {
    await times(40, async (n) => same((await fetched('/bytes/' + n * 5000)).bytes, pattern(n * 5000)));
  },
  async upload_with_a_length() {
    same((await fetched('/echo', {method: 'POST', body: pattern(BIG)})).bytes, pattern(BIG));
  },
  async upload_in_chunks() {
    const body = Readable.toWeb(pieces(pattern(BIG)));
    same((await fetched('/echo', {method: 'POST', body, duplex: 'half'})).bytes, pattern(BIG));
  },
  async head_and_statuses_without_body() {
    const head = await fetched('/bytes/12345', {method: 'HEAD'});
    assert.deepStrictEqual([head.status, head.headers.get('content-length'), head.bytes.length], [200, '12345', 0]);
    for (const status of [204, 304, 404, 503]) assert.strictEqual((await fetched('/status/' + status)).status, status);
  },
  async aborted_downloads() {
    await times(10, async () => {
      const controller = new AbortController();
      const response = await fetch(base + '/bytes/5000000', {signal: controller.signal});
      await response.body.getReader().read();
      controller.abort();
    });
    same((await fetched('/bytes/1000')).bytes, pattern(1000));
  },
};

(async () => {
  const stories = {http: withHttp, http2: withHttp2, fetch: withFetch}[library];
  if (library === 'http2') session = http2.connect(base);
  for (const [name, story] of Object.entries(stories)) {
    await story();
    console.log('ok ' + name);
  }
  process.exit(0);
})().catch((error) => { console.error(error); process.exit(1); });
