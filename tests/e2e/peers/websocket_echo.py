"""A WebSocket server of another make than ours, the distribution's python3-websockets: it echoes.

Paths: /chat selects the subprotocol "chat" when it is offered; anything else echoes as well.
"""
import asyncio

import websockets


async def echo(connection, *_):
    try:
        async for message in connection:
            await connection.send(message)
    except websockets.ConnectionClosed:
        pass


async def main():
    server = await websockets.serve(echo, "127.0.0.1", 0, subprotocols=["chat"], max_size=1 << 25,
                                    ping_interval=None, compression="deflate")
    print("listening on %d" % server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Future()

asyncio.run(main())
