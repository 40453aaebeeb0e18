# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""base/ws against python3-websockets, as server and as client."""
import asyncio
import http
import subprocess
import sys

try:
    import websockets
except ImportError:
    print("python3-websockets is not installed")
    sys.exit(77)

SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20, 5 << 20]


async def talk(ws):
    for n in SIZES:
        text = ("é%d " % n * (n // 3 + 1))[:n]
        await ws.send(text)
        assert await ws.recv() == text, n
        data = bytes(i * 7 & 255 for i in range(min(n, 70000)))
        await ws.send(data)
        assert await ws.recv() == data, n
    async def parts():
        for i in range(50):
            yield "part %d " % i

    await ws.send(parts())
    assert await ws.recv() == "".join("part %d " % i for i in range(50))
    for _ in range(20):
        await (await ws.ping(b"x"))


async def our_server(exe):
    p = subprocess.Popen([exe], stdout=subprocess.PIPE, text=True)
    try:
        url = "ws://127.0.0.1:%d/ws" % int(p.stdout.readline())
        async with websockets.connect(url, max_size=None,
                                      subprotocols=["xbot.v1", "xbot.bearer.T"]) as ws:
            assert ws.subprotocol == "xbot.v1"
            await talk(ws)
        assert ws.close_code == 1000
        assert p.stdout.readline() == "closed 1000\n"
        async with websockets.connect(url) as ws:
            await ws.send("close:*")
            try:
                await ws.recv()
            except websockets.ConnectionClosed as e:
                assert (e.rcvd.code, e.rcvd.reason) == (4042, "asked")
        assert p.stdout.readline() == "closed 4042\n"
        async with websockets.connect(url) as ws:
            await ws.send(bytes(17 << 20))
            try:
                await ws.recv()
                assert False
            except websockets.ConnectionClosed as e:
                assert e.rcvd.code == 1009
        assert p.stdout.readline() == "closed 1009\n"
        many = [await websockets.connect(url) for _ in range(50)]
        await asyncio.gather(*(talk_short(ws) for ws in many))
        await asyncio.gather(*(ws.close() for ws in many))
        try:
            await websockets.connect(url[:-2] + "nix")
            assert False
        except websockets.InvalidStatusCode as e:
            assert e.status_code == 404
    finally:
        p.kill()
        p.wait()


async def talk_short(ws):
    for i in range(20):
        await ws.send("hello %d" % i)
        assert await ws.recv() == "hello %d" % i


async def our_client(exe):
    done = asyncio.get_running_loop().create_future()

    async def serve(ws):
        try:
            assert ws.path == "/x?y"
            await talk(ws)
            await asyncio.sleep(0.5)        # its pings
            await ws.close(4321, "bye")
            done.set_result((ws.subprotocol, ws.close_code))
        except BaseException as e:
            done.set_exception(e)

    async with websockets.serve(serve, "localhost", 0, max_size=None,
                                subprotocols=["xbot.v1"]) as server:
        port = server.sockets[0].getsockname()[1]
        p = await asyncio.create_subprocess_exec(exe, str(port), stdout=subprocess.PIPE)
        assert await done == ("xbot.v1", 4321)
        out, _ = await p.communicate()
        assert out == b"closed 4321\n" and p.returncode == 0, out


async def refused(exe):
    async def no(path, headers):
        return http.HTTPStatus(401), [], b"no\n"

    async with websockets.serve(lambda ws: None, "127.0.0.1", 0, process_request=no) as server:
        port = server.sockets[0].getsockname()[1]
        p = await asyncio.create_subprocess_exec(exe, str(port), stdout=subprocess.PIPE)
        out, _ = await p.communicate()
        assert out == b"failed 401\n", out


async def main():
    exe = sys.argv[1]
    for part in our_server, our_client, refused:
        await asyncio.wait_for(part(exe), 60)
        print(part.__name__, "ok")


asyncio.run(main())
