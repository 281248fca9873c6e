"""The least that a gateway in Python can do: hand bytes on, with aiohttp on both sides.

    passthrough.py PORT ENGINE_PORT

It authenticates nobody, checks, counts and records nothing, so what it costs is what any gateway
pays for being between, above all for waking up. It forwards what the client shows to the engine.
"""

import asyncio
import sys

import uvloop
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

FORWARDED = ("Authorization", "Content-Type")


async def serve(port: int, engine_port: int) -> None:
    engine = f"http://127.0.0.1:{engine_port}"
    async with ClientSession(connector=TCPConnector(limit=0), timeout=ClientTimeout()) as session:

        async def relay(request: web.Request) -> web.StreamResponse:
            headers = {name: request.headers[name] for name in FORWARDED if name in request.headers}
            async with session.request(
                request.method, f"{engine}{request.path}", headers=headers,
                data=await request.read(),
            ) as answer:  # fmt: skip
                handed_on = web.StreamResponse(status=answer.status)
                handed_on.content_type = answer.content_type
                handed_on.content_length = answer.content_length
                await handed_on.prepare(request)
                async for chunk in answer.content.iter_any():
                    await handed_on.write(chunk)
                return handed_on

        runner = web.ServerRunner(web.Server(relay))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
