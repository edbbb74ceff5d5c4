"""A WebSocket server of another make than ours, the distribution's python3-websockets: it echoes.

It selects the subprotocol "chat" when it is offered. With PORT in its environment it listens there, for everybody;
else on a port of its own choice, which it prints.
"""
import asyncio
import os

import websockets


async def echo(connection, *_):
    try:
        async for message in connection:
            await connection.send(message)
    except websockets.ConnectionClosed:
        pass


async def main():
    where = (None, int(os.environ["PORT"])) if "PORT" in os.environ else ("127.0.0.1", 0)
    server = await websockets.serve(echo, *where, subprotocols=["chat"], max_size=1 << 25, ping_interval=None,
                                    compression="deflate")
    print("listening on %d" % server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Future()

asyncio.run(main())
