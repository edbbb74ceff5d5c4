// web: the page of FTGO. GET / shows it; POST /orders passes a wish on to orders. A plain HTTP service that
// knows no mesh. Node's http module does not look at http_proxy, so get() asks the proxy itself: to
// a proxy one sends the whole URL as the path, that is all.
'use strict';
const fs = require('fs');
const http = require('http');
const path = require('path');

const orders = process.env.ORDERS_URL || 'http://orders:8080';
const proxy = process.env.http_proxy ? new URL(process.env.http_proxy) : null;
const agent = new http.Agent({keepAlive: true, maxSockets: 64});
const page = fs.readFileSync(path.join(__dirname, 'page.html'));

// What ties the calls that follow to the request they are made for; see docs/tracing.md.
const FORWARDED = ['traceparent', 'tracestate', 'b3', 'x-b3-traceid', 'x-b3-spanid',
                   'x-b3-parentspanid', 'x-b3-sampled', 'x-b3-flags', 'x-request-id'];

function forwarded(incoming) {
  const fields = {};
  for (const name of FORWARDED) if (incoming.headers[name]) fields[name] = incoming.headers[name];
  return fields;
}

function ask(method, url, body, fields) {
  const target = new URL(url);
  const where = proxy ? {host: proxy.hostname, port: proxy.port, path: target.href}
                      : {host: target.hostname, port: target.port, path: target.pathname};
  const headers = {...fields, host: target.host, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body)};
  return new Promise((resolve, reject) => {
    const request = http.request({...where, method, headers, agent}, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('end', () => resolve({status: response.statusCode, headers: response.headers, body: Buffer.concat(parts)}));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

async function pass(incoming, body, response) {
  try {
    const answer = await ask('POST', orders + '/orders', body, forwarded(incoming));
    const headers = {'content-type': answer.headers['content-type'] || 'application/json'};
    if (answer.headers['tulle-error']) headers['x-upstream-error'] = answer.headers['tulle-error'];
    response.writeHead(answer.status, headers).end(answer.body);
  } catch (error) {
    response.writeHead(502, {'content-type': 'application/json'});
    response.end(JSON.stringify({error: 'orders cannot be asked: ' + error.message}));
  }
}

const server = http.createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    if (request.method === 'POST' && request.url === '/orders') return pass(request, Buffer.concat(parts), response);
    if (request.url === '/health') return response.writeHead(200).end('healthy\n');
    if (request.url !== '/') return response.writeHead(404).end('there is / and POST /orders\n');
    response.writeHead(200, {'content-type': 'text/html; charset=utf-8'}).end(page);
  });
});

server.keepAliveTimeout = 60000;
server.listen(Number(process.env.PORT || 8080), '127.0.0.1', () => console.log('web listens on port ' + server.address().port));
process.on('SIGTERM', () => process.exit(0));
