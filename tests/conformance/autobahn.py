"""Runs the Autobahn cases against a WebSocket echo server: autobahn.py HOST:PORT [CASE]...

A CASE may be a pattern ("9.*"). Prints one JSON object: verdicts by case. Needs `kosoku`, which drives
those cases; deploy/setup puts it where the tests find it.
"""
import asyncio
import json
import os
import sys

from kosoku import FailureError, run_fuzzingclient


async def main(address, cases):
    try:
        results = await run_fuzzingclient(address, cases or None, None, concurrency=8)
    except FailureError as failure:
        results = failure.results
    print(json.dumps({one.case_id: [one.behavior.value, one.behavior_close.value] for one in results}), flush=True)
    # Its native part aborts in one of five orderly exits, whatever it talked to. All has been said by now.
    os._exit(0)


asyncio.run(main(sys.argv[1], sys.argv[2:]))
