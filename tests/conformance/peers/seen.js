// An HTTP/1.1 server that says in `x-seen` what it understood of each request, and how many it has had.
'use strict';
const crypto = require('crypto');
const http = require('http');

let count = 0;
const server = http.createServer((request, response) => {
  const hash = crypto.createHash('sha1');
  request.on('data', (part) => hash.update(part));
  request.on('end', () => {
    count += 1;
    const seen = {method: request.method, target: request.url, fields: request.rawHeaders,
                  body: hash.digest('hex'), count};
    response.setHeader('x-seen', Buffer.from(JSON.stringify(seen)).toString('base64'));
    response.end('ok');
  });
});
server.keepAliveTimeout = 0;
server.requestTimeout = 0;
server.headersTimeout = 0;
server.maxHeaderSize = 1 << 20;
server.listen(0, '127.0.0.1', () => console.log('listening on ' + server.address().port));
