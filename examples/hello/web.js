// web: GET /?name=NAME asks http://greeter/ for a greeting and shows it. A plain HTTP service that
// knows no mesh; like most programs it honours the environment variable http_proxy.
'use strict';
const http = require('http');

const proxy = process.env.http_proxy ? new URL(process.env.http_proxy) : null;
const agent = new http.Agent({keepAlive: true, maxSockets: 64});

function get(url) {
  const target = new URL(url);
  const options = proxy
    ? {host: proxy.hostname, port: proxy.port, path: target.href, headers: {host: target.host}}
    : {host: target.hostname, port: target.port || 80, path: target.pathname + target.search};
  return new Promise((resolve, reject) => {
    http.get({...options, agent}, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('end', () => resolve({status: response.statusCode, body: Buffer.concat(parts).toString()}));
      response.on('error', reject);
    }).on('error', reject);
  });
}

const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, 'http://web');
  if (url.pathname !== '/') {
    response.writeHead(404).end('there is only /?name=NAME\n');
    return;
  }
  try {
    const name = url.searchParams.get('name') || 'stranger';
    const answer = await get('http://greeter/hello?name=' + encodeURIComponent(name));
    if (answer.status !== 200) throw new Error('greeter answered ' + answer.status + ': ' + answer.body);
    const document = JSON.parse(answer.body);
    response.writeHead(200, {'content-type': 'text/plain; charset=utf-8'});
    response.end(document.greeting + ' (' + document.served_by + ', asked by web, process ' + process.pid + ')\n');
  } catch (error) {
    response.writeHead(502, {'content-type': 'text/plain; charset=utf-8'});
    response.end('web could not ask greeter: ' + error.message + '\n');
  }
});

server.listen(Number(process.env.PORT || 0), '127.0.0.1', () => console.log('web on port ' + server.address().port));
process.on('SIGTERM', () => process.exit(0));
