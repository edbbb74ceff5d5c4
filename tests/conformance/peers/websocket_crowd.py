"""A WebSocket server for thousands of connections that echoes: one thread, as little as possible for each.

A frame comes whole, or not at all, as it is small: nothing is kept between two events.
"""
import base64
import hashlib
import re
import selectors
import socket

HEAD = ("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        "sec-websocket-accept: %s\r\n\r\n")
selector = selectors.DefaultSelector()


def serve(sock):
    try:
        data = sock.recv(4096)
    except ConnectionResetError:
        data = b""
    if not data:
        selector.unregister(sock)
        sock.close()
    elif data.startswith(b"GET "):
        key = re.search(rb"sec-websocket-key: (\S+)", data).group(1)
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        sock.sendall((HEAD % base64.b64encode(digest).decode()).encode())
    else:
        payload = bytes(byte ^ mask for byte, mask in zip(data[6:], data[2:6]))
        sock.sendall(bytes((data[0], len(payload))) + payload)


def main():
    listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
    selector.register(listening, selectors.EVENT_READ)
    print("listening on %d" % listening.getsockname()[1], flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listening:
                selector.register(listening.accept()[0], selectors.EVENT_READ)
            else:
                serve(key.fileobj)


main()
