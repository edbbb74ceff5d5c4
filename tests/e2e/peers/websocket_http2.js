// Extended CONNECT (RFC 8441) of another make than ours.
//   node websocket_http2.js client PORT PROTOCOL  opens a tunnel, sends "ping", ends its side and
//                                                 prints the status, then what came back
//   node websocket_http2.js server yes|no         an HTTP/2 server that announces it, or does not,
//                                                 and echoes what comes through a tunnel
'use strict';
const http2 = require('http2');
const [role, argument, protocol] = process.argv.slice(2);

if (role === 'server') {
  const server = http2.createServer({settings: {enableConnectProtocol: argument === 'yes'}});
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    if (headers[':protocol'] === undefined) {
      stream.respond({':status': 200, 'content-type': 'application/json'});
      return stream.end(JSON.stringify(headers));
    }
    stream.respond({':status': 200, 'x-asked': `${headers[':method']} ${headers[':protocol']} ${headers[':path']}`,
                    'x-key': String(headers['sec-websocket-key'])});
    stream.pipe(stream);
  });
  server.listen(0, '127.0.0.1', () => console.log('listening on ' + server.address().port));
} else {
  const session = http2.connect('http://127.0.0.1:' + argument);
  session.on('error', (error) => { console.log('failed ' + error.message); process.exit(0); });
  session.on('remoteSettings', (settings) => {
    console.log('announced ' + settings.enableConnectProtocol);
    const stream = session.request({':method': 'CONNECT', ':protocol': protocol, ':scheme': 'http', ':path': '/h2?x',
                                    ':authority': 'app', 'sec-websocket-version': '13'}, {endStream: false});
    stream.on('response', (headers) => {
      console.log('status ' + headers[':status'] + ' ' + (headers['tulle-error'] || ''));
      stream.end('ping');
    });
    const parts = [];
    stream.on('data', (part) => parts.push(part));
    stream.on('error', (error) => console.log('error ' + error.code));
    stream.on('close', () => {
      console.log('body ' + Buffer.concat(parts).toString('latin1').slice(0, 200).replace(/\s+/g, ' '));
      console.log('closed ' + stream.rstCode);
      session.close();
    });
  });
}
