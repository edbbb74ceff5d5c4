"""A WebSocket echo server and client of the distribution's python3-websockets: `serve`, or `call URI`."""
import asyncio
import os
import sys

import websockets


async def echo(connection, *_):
    try:
        async for message in connection:
            await connection.send(message)
    except websockets.ConnectionClosed:
        pass


async def serve():
    await websockets.serve(echo, None, int(os.environ["PORT"]), max_size=1 << 22)
    await asyncio.Future()


async def call(uri):
    async with websockets.connect(uri, max_size=1 << 22) as connection:
        for message in ("hello", "x" * 70000, b"\0\1\2"):
            await connection.send(message)
            assert await asyncio.wait_for(connection.recv(), 20) == message
    print("echoed")

asyncio.run(serve() if sys.argv[1] == "serve" else call(sys.argv[2]))
