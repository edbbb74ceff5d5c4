"""A WebSocket client of another make than ours: websocket_client.py URI. Prints "all is well"."""
import asyncio
import sys

import websockets


async def main(uri):
    async with websockets.connect(uri, subprotocols=["other", "chat"], max_size=1 << 25,
                                  ping_interval=None) as connection:
        assert connection.subprotocol == "chat", connection.subprotocol
        for message in ("hello", "", "\u00e4\u20ac", b"\0\xff" * 1000, "x" * 70000, b"y" * (1 << 20)):
            await connection.send(message)
            answer = await connection.recv()
            assert answer == message, (len(answer), len(message))
        await (await connection.ping(b"are you there"))
        # Many messages on their way at once, in both directions.
        async def send_all():
            for number in range(500):
                await connection.send("message %d" % number)
        sending = asyncio.ensure_future(send_all())
        for number in range(500):
            assert await connection.recv() == "message %d" % number
        await sending
        await connection.close(4001, "done")
        assert connection.close_code == 4001, connection.close_code
    print("all is well", flush=True)

asyncio.run(main(sys.argv[1]))
