// An HTTP/2 server of another make than ours: node http2_origin.js [CERTIFICATE KEY TRUST]
// It answers like the Origin of mesh.py, as far as the stories need it.
'use strict';
const fs = require('fs');
const http2 = require('http2');

const [certificate, key, trust] = process.argv.slice(2);
// Answers that wait for windows are held here; Node.js resets streams above 10 MB of them by itself.
const maxSessionMemory = 1000;
const server = certificate
  ? http2.createSecureServer({
      maxSessionMemory, cert: fs.readFileSync(certificate), key: fs.readFileSync(key), ca: fs.readFileSync(trust),
      requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3'})
  : http2.createServer({maxSessionMemory});

function pattern(size) {
  const parts = [];
  for (let number = 0; number * 8 <= size; ++number) parts.push(String(number).padStart(7, '0') + '\n');
  return Buffer.from(parts.join('')).subarray(0, size);
}

function answer(stream, headers, body, trailers) {
  const path = headers[':path'].split('?')[0];
  const [, kind, rest] = path.split('/');
  const common = {'x-origin': 'http2-origin'};
  if (kind === 'chunked') {
    stream.respond({...common, ':status': 200, trailer: 'x-checksum'}, {waitForTrailers: true});
    stream.on('wantTrailers', () => stream.sendTrailers({'x-checksum': '12345', 'x-finished': 'yes'}));
    stream.write('first ');
    stream.write('second ');
    stream.end('third');
  } else if (kind === 'cut') {
    stream.respond({...common, ':status': 200, 'content-length': '1000'});
    stream.write('x'.repeat(Number(rest)), () => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR));
  } else if (kind === 'refuse') {
    stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
  } else if (kind === 'echo') {
    stream.respond({...common, ':status': 200, 'content-length': String(body.length)});
    stream.end(body);
  } else if (kind === 'bytes') {
    const bytes = pattern(Number(rest));
    stream.respond({...common, ':status': 200, 'content-length': String(bytes.length)});
    stream.end(bytes);
  } else if (kind === 'status') {
    stream.respond({...common, ':status': Number(rest)});
    stream.end(rest === '204' || rest === '304' ? undefined : 'status ' + rest);
  } else {
    if (kind === 'interim') stream.additionalHeaders({':status': 103, link: '</style.css>; rel=preload'});
    const document = {origin: 'http2-origin', method: headers[':method'], path: headers[':path'],
                      headers: Object.entries(headers).map(([name, value]) => [name, String(value)]),
                      body: body.length, trailers};
    stream.respond({...common, ':status': 200, 'content-type': 'application/json'});
    stream.end(JSON.stringify(document));
  }
}

server.on('stream', (stream, headers) => {
  const parts = [];
  let trailers = {};
  stream.on('error', () => {});
  if (headers.expect === '100-continue') stream.additionalHeaders({':status': 100});
  stream.on('data', (part) => parts.push(part));
  stream.on('trailers', (fields) => { trailers = {...fields}; });
  stream.on('end', () => {
    if (headers[':method'] === 'HEAD') {
      stream.respond({':status': 200, 'x-origin': 'http2-origin', 'content-length': headers[':path'].split('/')[2] || '0'},
                     {endStream: true});
    } else {
      answer(stream, headers, Buffer.concat(parts), trailers);
    }
  });
});
server.on('sessionError', () => {});
server.listen(0, '127.0.0.1', () => console.log('listening on ' + server.address().port));
process.on('SIGTERM', () => process.exit(0));
