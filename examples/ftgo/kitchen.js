// kitchen: POST /tickets accepts a ticket for an order. A plain HTTP service that knows no mesh.
// PUT /mood {"failures": 0.5} makes it fail that share of its tickets, to see what happens then.
'use strict';
const http = require('http');

const version = process.env.VERSION || 'v1';
const name = process.env.TULLE_INSTANCE || 'kitchen';
const tickets = new Map();  // by order: the same order gets the same ticket
let failures = 0;

function answer(response, status, document) {
  const body = JSON.stringify(document);
  response.writeHead(status, {'content-type': 'application/json', 'content-length': Buffer.byteLength(body)});
  response.end(body);
}

function accept(wish, response) {
  if (Math.random() < failures) return answer(response, 503, {error: name + ' has dropped a pan'});
  let ticket = tickets.get(wish.order);
  if (!ticket) {
    const minutes = version === 'v1' ? 20 : 12;  // the new kitchen is faster
    ticket = {number: tickets.size + 1, order: wish.order, minutes, kitchen: name, version};
    tickets.set(wish.order, ticket);
    if (tickets.size > 10000) tickets.delete(tickets.keys().next().value);
  }
  answer(response, 201, ticket);
}

const server = http.createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    if (request.method === 'GET' && request.url === '/health') return answer(response, 200, {state: 'healthy', version});
    let wish;
    try {
      wish = JSON.parse(Buffer.concat(parts).toString());
    } catch (error) {
      return answer(response, 400, {error: 'the body is not JSON'});
    }
    if (request.method === 'POST' && request.url === '/tickets') return accept(wish, response);
    if (request.method === 'PUT' && request.url === '/mood') {
      failures = Number(wish.failures) || 0;
      console.log(`${name} now fails ${Math.round(failures * 100)} % of its tickets`);
      return answer(response, 200, {failures});
    }
    answer(response, 404, {error: 'there is POST /tickets'});
  });
});

server.keepAliveTimeout = 60000;
server.listen(Number(process.env.PORT || 8080), '127.0.0.1', () => {
  console.log(`${name} (${version}) listens on port ${server.address().port}`);
});
process.on('SIGTERM', () => process.exit(0));
