"""The Python peer: gRPC's interop cases on the distribution's grpcio, with messages of grpc-proto.

    peer.py FOLDER server                 prints "listening on PORT"
    peer.py FOLDER client PORT CASE...    prints "ok CASE" for each; a case that fails ends the program

FOLDER holds what protoc made of grpc/testing/messages.proto and empty.proto.
"""
import os
import queue
import sys
import time
from concurrent import futures

import grpc

grpc.__path__.append(os.path.join(sys.argv[1], "grpc"))  # the messages' package is grpc.testing
from grpc.testing import empty_pb2, messages_pb2  # noqa: E402

SERVICE = "/grpc.testing.TestService/"
INITIAL = ("x-grpc-test-echo-initial", "test_initial_metadata_value")
TRAILING = ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab")
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"
SECONDS = 60


def zeros(size):
    return messages_pb2.Payload(body=bytes(size))


# ---- server -------------------------------------------------------------------------------------

def echo_metadata(context):
    for key, value in context.invocation_metadata():
        if key == INITIAL[0]:
            context.send_initial_metadata([(key, value)])
        elif key == TRAILING[0]:
            context.set_trailing_metadata([(key, value)])


def heed_status(request, context):
    if request.HasField("response_status"):
        wanted = next(code for code in grpc.StatusCode if code.value[0] == request.response_status.code)
        if wanted is not grpc.StatusCode.OK:
            context.abort(wanted, request.response_status.message)


def unary(request, context):
    echo_metadata(context)
    heed_status(request, context)
    return messages_pb2.SimpleResponse(payload=zeros(request.response_size))


def output(request, context):
    for wanted in request.response_parameters:
        if wanted.interval_us:
            time.sleep(wanted.interval_us / 1e6)
        yield messages_pb2.StreamingOutputCallResponse(payload=zeros(wanted.size))


def full_duplex(requests, context):
    echo_metadata(context)
    for request in requests:
        heed_status(request, context)
        yield from output(request, context)


def total(requests, context):
    size = sum(len(request.payload.body) for request in requests)
    return messages_pb2.StreamingInputCallResponse(aggregated_payload_size=size)


def serve():
    def kind(make, function, request, response):
        return make(function, request_deserializer=request.FromString, response_serializer=response.SerializeToString)
    m = messages_pb2
    handlers = {
        "EmptyCall": kind(grpc.unary_unary_rpc_method_handler, lambda request, context: empty_pb2.Empty(),
                          empty_pb2.Empty, empty_pb2.Empty),
        "UnaryCall": kind(grpc.unary_unary_rpc_method_handler, unary, m.SimpleRequest, m.SimpleResponse),
        "StreamingOutputCall": kind(grpc.unary_stream_rpc_method_handler, output, m.StreamingOutputCallRequest,
                                    m.StreamingOutputCallResponse),
        "StreamingInputCall": kind(grpc.stream_unary_rpc_method_handler, total, m.StreamingInputCallRequest,
                                   m.StreamingInputCallResponse),
        "FullDuplexCall": kind(grpc.stream_stream_rpc_method_handler, full_duplex, m.StreamingOutputCallRequest,
                               m.StreamingOutputCallResponse),
    }
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("grpc.testing.TestService", handlers)])
    print("listening on", server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


# ---- client -------------------------------------------------------------------------------------

class Client:
    def __init__(self, port):
        m = messages_pb2
        self.channel = grpc.insecure_channel("127.0.0.1:" + port, options=[("grpc.default_authority", "service")])
        self.empty = self._method(self.channel.unary_unary, "EmptyCall", empty_pb2.Empty, empty_pb2.Empty)
        self.unary = self._method(self.channel.unary_unary, "UnaryCall", m.SimpleRequest, m.SimpleResponse)
        self.output = self._method(self.channel.unary_stream, "StreamingOutputCall", m.StreamingOutputCallRequest,
                                   m.StreamingOutputCallResponse)
        self.input = self._method(self.channel.stream_unary, "StreamingInputCall", m.StreamingInputCallRequest,
                                  m.StreamingInputCallResponse)
        self.duplex = self._method(self.channel.stream_stream, "FullDuplexCall", m.StreamingOutputCallRequest,
                                   m.StreamingOutputCallResponse)

    @staticmethod
    def _method(make, name, request, response):
        path = name if name.startswith("/") else SERVICE + name
        return make(path, request_serializer=request.SerializeToString, response_deserializer=response.FromString)

    def empty_unary(self):
        assert self.empty(empty_pb2.Empty(), timeout=SECONDS) == empty_pb2.Empty()

    def large_unary(self, **more):
        request = messages_pb2.SimpleRequest(response_size=314159, payload=zeros(271828))
        answer = self.unary(request, timeout=SECONDS, **more)
        assert answer.payload.body == bytes(314159), len(answer.payload.body)

    def client_compressed_unary(self):
        self.large_unary(compression=grpc.Compression.Gzip)

    def client_streaming(self):
        sizes = (27182, 8, 1828, 45904)
        requests = (messages_pb2.StreamingInputCallRequest(payload=zeros(size)) for size in sizes)
        assert self.input(requests, timeout=SECONDS).aggregated_payload_size == sum(sizes)

    @staticmethod
    def outputs(*sizes, upload=0, interval_us=0):
        return messages_pb2.StreamingOutputCallRequest(
            payload=zeros(upload), response_parameters=[
                messages_pb2.ResponseParameters(size=size, interval_us=interval_us) for size in sizes])

    def server_streaming(self):
        sizes = [31415, 9, 2653, 58979]
        answers = self.output(self.outputs(*sizes), timeout=SECONDS)
        assert [answer.payload.body for answer in answers] == [bytes(size) for size in sizes]

    def ping_pong(self):
        out = queue.Queue()
        answers = self.duplex(iter(out.get, None), timeout=SECONDS)
        for size, upload in ((31415, 27182), (9, 8), (2653, 1828), (58979, 45904)):
            out.put(self.outputs(size, upload=upload))
            assert next(answers).payload.body == bytes(size)
        out.put(None)
        assert not list(answers) and answers.code() is grpc.StatusCode.OK

    def empty_stream(self):
        answers = self.duplex(iter(()), timeout=SECONDS)
        assert not list(answers) and answers.code() is grpc.StatusCode.OK

    def custom_metadata(self):
        def check(call):
            assert INITIAL in [tuple(pair) for pair in call.initial_metadata()], call.initial_metadata()
            assert TRAILING in [tuple(pair) for pair in call.trailing_metadata()], call.trailing_metadata()
        _, call = self.unary.with_call(messages_pb2.SimpleRequest(response_size=1, payload=zeros(1)),
                                       metadata=[INITIAL, TRAILING], timeout=SECONDS)
        check(call)
        answers = self.duplex(iter([self.outputs(1, upload=1)]), metadata=[INITIAL, TRAILING], timeout=SECONDS)
        assert len(list(answers)) == 1
        check(answers)

    @staticmethod
    def ends_with(code, what, details=None):
        try:
            what()
        except grpc.RpcError as error:
            assert error.code() is code, error
            assert details is None or error.details() == details, repr(error.details())
        else:
            raise AssertionError("the call has succeeded")

    def status_of(self, message):
        status = messages_pb2.EchoStatus(code=2, message=message)
        self.ends_with(grpc.StatusCode.UNKNOWN, lambda: self.unary(
            messages_pb2.SimpleRequest(response_status=status), timeout=SECONDS), message)
        request = messages_pb2.StreamingOutputCallRequest(response_status=status)
        self.ends_with(grpc.StatusCode.UNKNOWN, lambda: list(self.duplex(iter([request]), timeout=SECONDS)), message)

    def status_code_and_message(self):
        self.status_of("test status message")

    def special_status_message(self):
        self.status_of(SPECIAL)

    def unimplemented_method(self):
        method = self._method(self.channel.unary_unary, "UnimplementedCall", empty_pb2.Empty, empty_pb2.Empty)
        self.ends_with(grpc.StatusCode.UNIMPLEMENTED, lambda: method(empty_pb2.Empty(), timeout=SECONDS))

    def unimplemented_service(self):
        method = self._method(self.channel.unary_unary, "/grpc.testing.UnimplementedService/UnimplementedCall",
                              empty_pb2.Empty, empty_pb2.Empty)
        self.ends_with(grpc.StatusCode.UNIMPLEMENTED, lambda: method(empty_pb2.Empty(), timeout=SECONDS))

    def cancel_after_begin(self):
        call = self.input.future(iter(queue.Queue().get, None), timeout=SECONDS)
        call.cancel()
        assert call.cancelled() and call.code() is grpc.StatusCode.CANCELLED

    def cancel_after_first_response(self):
        out = queue.Queue()
        answers = self.duplex(iter(out.get, None), timeout=SECONDS)
        out.put(self.outputs(31415, upload=27182))
        assert next(answers).payload.body == bytes(31415)
        answers.cancel()
        self.ends_with(grpc.StatusCode.CANCELLED, lambda: next(answers))
        out.put(None)

    def timeout_on_sleeping_server(self):
        for seconds in (0.001, 0.3):
            def call():
                list(self.duplex(iter([self.outputs(1, upload=27182, interval_us=1500000)]), timeout=seconds))
            self.ends_with(grpc.StatusCode.DEADLINE_EXCEEDED, call)


if sys.argv[2] == "server":
    serve()
client = Client(sys.argv[3])
for name in sys.argv[4:]:
    getattr(client, name)()
    print("ok", name, flush=True)
client.channel.close()
