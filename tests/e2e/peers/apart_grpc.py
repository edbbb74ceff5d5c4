"""gRPC without generated code, client and server: `apart_grpc.py serve`, or `apart_grpc.py call HOST:PORT`.

The service echoes a message, streams ten of them, and says its peer's address.
"""
import concurrent.futures
import os
import sys

import grpc


class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        if details.method == "/apart.Echo/Once":
            return grpc.unary_unary_rpc_method_handler(lambda message, context: message + b" " + context.peer().encode())
        if details.method == "/apart.Echo/Often":
            return grpc.unary_stream_rpc_method_handler(lambda message, _: (b"%s %d" % (message, i) for i in range(10)))
        if details.method == "/apart.Echo/Both":
            return grpc.stream_stream_rpc_method_handler(lambda messages, _: (message.upper() for message in messages))
        return None


def serve():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8), handlers=[Echo()])
    server.add_insecure_port("[::]:" + os.environ["PORT"])
    server.start()
    server.wait_for_termination()


def call(target):
    with grpc.insecure_channel(target) as channel:
        print(channel.unary_unary("/apart.Echo/Once")(b"hello", timeout=20).decode())
        print(len(list(channel.unary_stream("/apart.Echo/Often")(b"hello", timeout=20))))
        print(b"".join(channel.stream_stream("/apart.Echo/Both")(iter([b"a", b"b", b"c"]), timeout=20)).decode())
        try:
            channel.unary_unary("/apart.Echo/None")(b"", timeout=20)
        except grpc.RpcError as error:
            print(error.code().name)


if sys.argv[1] == "serve":
    serve()
else:
    call(sys.argv[2])
