"""A TCP server for tests that look at bytes: one thread per connection, told what to do by a function.

    peer = TcpPeer(echo)           127.0.0.1, a port of its own; peer.connections grows
"""
import contextlib
import socket
import struct
import threading


class Connection:
    def __init__(self, sock):
        self.socket = sock
        self.received = 0
        self.end = None            # "fin" or "reset" by the other side
        self.done = threading.Event()

    def receive(self, size=65536):
        """b"" at the end; the end is noted."""
        try:
            data = self.socket.recv(size)
        except ConnectionResetError:
            self.end = "reset"
            return b""
        if not data:
            self.end = "fin"
        self.received += len(data)
        return data

    def reset(self):
        reset(self.socket)


def reset(sock):
    """Closes so that the other side sees a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def echo(connection):
    while data := connection.receive():
        connection.socket.sendall(data)


class TcpPeer:
    def __init__(self, serve=echo):
        self.serve = serve
        self.connections = []
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(sock)
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            self.serve(connection)
        except OSError as problem:
            connection.end = connection.end or ("reset" if isinstance(problem, ConnectionError) else "closed")
        finally:
            with contextlib.suppress(OSError):
                connection.socket.close()
            connection.done.set()
