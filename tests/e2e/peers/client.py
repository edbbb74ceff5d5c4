"""Python as a client: client.py PORT http.client|requests|httpx|httpx2|aiohttp. Prints "ok NAME" for each
story of that library against the origin of mesh.py; one that fails ends the program.
"""
import asyncio
import concurrent.futures
import http.client
import importlib
import sys

BIG = 300000


def pattern(size):
    block = b"".join(b"%07d\n" % number for number in range(0, size // 8 + 1))
    return block[:size]


def pieces(data, size=7001):
    for at in range(0, len(data), size):
        yield data[at:at + size]


def same(got, expected):
    assert got == expected, "%d bytes instead of %d, or others" % (len(got), len(expected))


def at_once(count, what):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        list(pool.map(what, range(count)))


class HttpClient:
    """The standard library's."""

    def __init__(self, port):
        self.port = port
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, method, path, body=None, headers=None, connection=None, **more):
        connection = connection or self.connection
        connection.request(method, path, body, headers or {}, **more)
        answer = connection.getresponse()
        return answer, answer.read()

    def downloads_on_one_connection(self):
        for number in range(20):
            same(self.ask("GET", "/bytes/%d" % (5000 * number))[1], pattern(5000 * number))

    def downloads_at_once(self):
        def one(number):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            same(self.ask("GET", "/bytes/%d" % (9000 * number), connection=connection)[1], pattern(9000 * number))
            connection.close()
        at_once(16, one)

    def uploads(self):
        same(self.ask("POST", "/echo", pattern(BIG))[1], pattern(BIG))
        same(self.ask("POST", "/echo", pieces(pattern(BIG)), encode_chunked=True,
                      headers={"transfer-encoding": "chunked"})[1], pattern(BIG))

    def head_and_statuses_without_body(self):
        answer, body = self.ask("HEAD", "/bytes/12345")
        assert (answer.status, answer.getheader("content-length"), body) == (200, "12345", b"")
        for status in (204, 304, 404, 503):
            assert self.ask("GET", "/status/%d" % status)[0].status == status


class Requests:
    def __init__(self, port):
        requests = importlib.import_module("requests")
        self.session = requests.Session()
        self.session.trust_env = False
        self.base = "http://127.0.0.1:%d" % port

    def downloads(self):
        at_once(16, lambda n: same(self.session.get(self.base + "/bytes/%d" % (9000 * n)).content, pattern(9000 * n)))

    def streamed_download(self):
        with self.session.get(self.base + "/bytes/%d" % BIG, stream=True) as answer:
            same(b"".join(answer.iter_content(1000)), pattern(BIG))

    def abandoned_downloads(self):
        for _ in range(5):
            with self.session.get(self.base + "/bytes/5000000", stream=True) as answer:
                next(answer.iter_content(1000))
        same(self.session.get(self.base + "/bytes/1000").content, pattern(1000))

    def uploads(self):
        for data in (pattern(BIG), pieces(pattern(BIG))):
            same(self.session.post(self.base + "/echo", data=data).content, pattern(BIG))

    def head_and_statuses_without_body(self):
        answer = self.session.head(self.base + "/bytes/12345")
        assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "12345", b"")
        for status in (204, 304, 404, 503):
            assert self.session.get(self.base + "/status/%d" % status).status_code == status


class Httpx:
    versions = {"http1": True, "http2": False}
    version = "HTTP/1.1"

    def __init__(self, port):
        httpx = importlib.import_module("httpx")
        self.client = httpx.Client(base_url="http://127.0.0.1:%d" % port, timeout=60, trust_env=False, **self.versions)

    def version_is_what_was_asked_for(self):
        assert self.client.get("/bytes/1").http_version == self.version

    def downloads(self):
        at_once(16, lambda n: same(self.client.get("/bytes/%d" % (9000 * n)).content, pattern(9000 * n)))

    def streamed_download(self):
        with self.client.stream("GET", "/bytes/%d" % BIG) as answer:
            same(b"".join(answer.iter_bytes(1000)), pattern(BIG))

    def abandoned_downloads(self):
        for _ in range(5):
            with self.client.stream("GET", "/bytes/5000000") as answer:
                next(answer.iter_bytes(1000))
        same(self.client.get("/bytes/1000").content, pattern(1000))

    def uploads(self):
        for content in (pattern(BIG), pieces(pattern(BIG))):
            same(self.client.post("/echo", content=content).content, pattern(BIG))

    def head_and_statuses_without_body(self):
        answer = self.client.head("/bytes/12345")
        assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "12345", b"")
        for status in (204, 304, 404, 503):
            assert self.client.get("/status/%d" % status).status_code == status


class Httpx2(Httpx):
    versions = {"http1": False, "http2": True}
    version = "HTTP/2"
    # httpcore 0.16 keeps the window of an answer that it has given up, and then waits for ever.
    abandoned_downloads = None


class Aiohttp:
    def __init__(self, port):
        self.aiohttp = importlib.import_module("aiohttp")
        self.base = "http://127.0.0.1:%d" % port

    def play(self, story):
        async def with_session():
            async with self.aiohttp.ClientSession() as session:
                await story(session)
        asyncio.run(with_session())

    async def get(self, session, size):
        async with session.get(self.base + "/bytes/%d" % size) as answer:
            same(await answer.read(), pattern(size))

    def downloads(self):
        async def story(session):
            await asyncio.gather(*(self.get(session, 5000 * number) for number in range(50)))
        self.play(story)

    def uploads(self):
        async def chunks():
            for piece in pieces(pattern(BIG)):
                yield piece

        async def story(session):
            for data in (pattern(BIG), chunks()):
                async with session.post(self.base + "/echo", data=data) as answer:
                    same(await answer.read(), pattern(BIG))
        self.play(story)

    def cancelled_downloads(self):
        async def story(session):
            for _ in range(10):
                async with session.get(self.base + "/bytes/5000000") as answer:
                    await answer.content.read(1000)
                    answer.close()
            await self.get(session, 1000)
        self.play(story)

    def head_and_statuses_without_body(self):
        async def story(session):
            async with session.head(self.base + "/bytes/12345") as answer:
                assert (answer.status, answer.headers["content-length"]) == (200, "12345")
            for status in (204, 304, 404, 503):
                async with session.get(self.base + "/status/%d" % status) as answer:
                    assert answer.status == status
        self.play(story)


LIBRARIES = {"http.client": HttpClient, "requests": Requests, "httpx": Httpx, "httpx2": Httpx2, "aiohttp": Aiohttp}
HELPERS = ("ask", "get", "play")

if __name__ == "__main__":
    client = LIBRARIES[sys.argv[2]](int(sys.argv[1]))
    for name in [name for name in dir(client) if not name.startswith("_") and name not in HELPERS]:
        story = getattr(client, name)
        if callable(story) and hasattr(story, "__func__"):
            story()
            print("ok", name, flush=True)
