"""The forwarders of docs/tracing.md, as they stand there, each in a small program of its language.

An application is asked with the fields of a trace and calls an origin; the origin sees those fields as
they came, and nothing else of the request.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from mesh import PATIENCE, ROOT, Origin, Process, probes, program, wait_for

TRACE = {
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "tracestate": "vendor=1,other=2",
    "b3": "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
    "x-b3-traceid": "4bf92f3577b34da6a3ce929d0e0e4736",
    "x-b3-spanid": "00f067aa0ba902b7",
    "x-b3-parentspanid": "00f067aa0ba902b6",
    "x-b3-sampled": "1",
    "x-b3-flags": "1",
    "x-request-id": "7d0b3a52-9d2f-4ee4-8a2e-0e6a2b6f3c11",
}

# Around the code of the document: a server that calls the origin for every request. It prints its port.
PYTHON = '''
import http.server, sys
%s
class App(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with call(sys.argv[1], self.headers) as answer:
            body = answer.read()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), App)
print("port", server.server_port, flush=True)
server.serve_forever()
'''
NODE = '''
const http = require('http');
%s
const server = http.createServer((incoming, response) => {
  http.get(process.argv[2], {headers: forwarded(incoming)}, (answer) => answer.pipe(response));
});
server.listen(0, '127.0.0.1', () => console.log('port ' + server.address().port));
'''
JAVA = '''
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.*;
import java.util.List;
import java.util.function.Function;

public class App {
%s
  public static void main(String[] arguments) throws Exception {
    HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
    server.createContext("/", exchange -> {
      HttpRequest.Builder call = HttpRequest.newBuilder(URI.create(arguments[0]));
      HttpRequest request = forward(exchange.getRequestHeaders()::getFirst, call).build();
      try {
        byte[] body = client.send(request, HttpResponse.BodyHandlers.ofByteArray()).body();
        exchange.sendResponseHeaders(200, body.length);
        exchange.getResponseBody().write(body);
      } catch (InterruptedException problem) {
        throw new java.io.IOException(problem);
      } finally {
        exchange.close();
      }
    });
    server.start();
    System.out.println("port " + server.getAddress().getPort());
  }
}
'''
GO = '''
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

%s

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("port", listener.Addr().(*net.TCPAddr).Port)
	panic(http.Serve(listener, http.HandlerFunc(func(answer http.ResponseWriter, incoming *http.Request) {
		call, _ := http.NewRequest("GET", os.Args[1], nil)
		forward(incoming, call)
		got, err := http.DefaultClient.Do(call)
		if err != nil {
			http.Error(answer, err.Error(), 502)
			return
		}
		defer got.Body.Close()
		io.Copy(answer, got.Body)
	})))
}
'''


def snippet(language):
    with open(os.path.join(ROOT, "docs", "tracing.md")) as document:
        found = re.findall(r"^```%s\n(.*?)^```$" % language, document.read(), re.M | re.S)
    assert len(found) == 1, "docs/tracing.md has one forwarder in " + language
    return found[0]


class Forwarders(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tulle-forwarders-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.origin = Origin("origin")
        self.addCleanup(self.origin.close)
        # No proxy of the machine's: Python and Go would use it.
        self.env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}

    def write(self, name, around, language):
        path = os.path.join(self.folder, name)
        with open(path, "w") as out:
            out.write(around.strip() % snippet(language) + "\n")
        return path

    def check(self, *command):
        app = Process("app", [*command, "http://127.0.0.1:%d/called" % self.origin.port], self.folder, self.env)
        self.addCleanup(app.stop)
        port = int(app.wait_for_line(r"^port (\d+)$", PATIENCE, "out").group(1))
        self.assertEqual(self.seen(port, TRACE), TRACE)
        some = {"Traceparent": TRACE["traceparent"], "X-Request-ID": "mine"}
        self.assertEqual({"traceparent": TRACE["traceparent"], "x-request-id": "mine"}, self.seen(port, some))
        self.assertEqual({}, self.seen(port, {}))

    def seen(self, port, fields):
        """The fields of a trace, and those of the caller, that the origin is called with."""
        before = self.origin.hits()
        answer = probes.get(port, "/", {**fields, "cookie": "secret=1", "authorization": "Basic c2VjcmV0"})
        self.assertEqual(200, answer.status, answer.body)
        self.assertEqual(before + 1, self.origin.hits())
        called = self.origin.requests("/called")[-1]
        names = [*TRACE, "cookie", "authorization"]
        return {name: called.value(name) for name in names if called.value(name) is not None}

    def test_python(self):
        self.check(sys.executable, self.write("app.py", PYTHON, "python"))

    def test_node(self):
        self.check(program("node"), self.write("app.js", NODE, "js"))

    def test_java(self):
        program("javac")
        self.check(program("java"), self.write("App.java", JAVA, "java"))

    def test_go(self):
        go = program("go")
        source = self.write("app.go", GO, "go")
        binary = os.path.join(self.folder, "app")
        built = subprocess.run([go, "build", "-o", binary, source], env={**self.env, "GO111MODULE": "off"}, cwd=self.folder,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(0, built.returncode, built.stdout)
        self.check(binary)


if __name__ == "__main__":
    unittest.main()
