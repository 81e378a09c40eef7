"""A good client beside many that hold connections open and hardly do anything: how long it waits for its answers.

    python3 benches/slow_clients.py target/release/paraplanner [2000]

The slow ones are of four kinds, and come again before they are dropped: a header that never ends, a body that
drips, a reader of a large reply that takes nothing, and one that only connects. The good one signs in and asks for
its tasks, one request after another, over a connection of its own each time.
"""

import asyncio
import json
import multiprocessing
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

REQUESTS = 500
HEADS = [
    b"GET /api/tasks HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    b"POST /api/auth/demo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{",
    b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 20,
    b"",
]
# Seconds after which each kind gives up and comes again, just before it would be dropped.
LIVES = [9, 28, 28, 9]


async def slow(port, kind, held):
    while True:
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        try:
            await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
            reader, writer = await asyncio.open_connection(sock=connection, limit=1)
        except OSError:
            connection.close()
            await asyncio.sleep(0.5)
            continue
        held[kind] += 1
        try:
            writer.write(HEADS[kind])
            for _ in range(LIVES[kind]):
                await asyncio.sleep(1)
                if kind < 2:
                    writer.write(b"a")
                    await writer.drain()
                if writer.transport.is_closing():
                    break
        except OSError:
            pass
        finally:
            held[kind] -= 1
            writer.transport.abort()


def slow_ones(port, count, held):
    async def all_of_them():
        await asyncio.gather(*(slow(port, n % len(HEADS), held) for n in range(count)))

    asyncio.run(all_of_them())


async def good(port, cookie):
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = f"GET /api/tasks HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
    writer.write(request.encode())
    reply = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    assert reply.startswith(b"HTTP/1.1 200"), reply[:200]
    return time.perf_counter() - started


async def measure(port, cookie):
    times = sorted([await good(port, cookie) for _ in range(REQUESTS)])
    return f"p50 {statistics.median(times) * 1000:.1f} ms, p99 {times[REQUESTS * 99 // 100] * 1000:.1f} ms, most {times[-1] * 1000:.1f} ms"


def run(port, cookie, count, pid):
    print("alone:", asyncio.run(measure(port, cookie)), flush=True)
    # By a process of their own, so that the good one's time isn't theirs.
    held = multiprocessing.Array("i", len(HEADS), lock=False)
    others = multiprocessing.Process(target=slow_ones, args=(port, count, held), daemon=True)
    others.start()
    time.sleep(5)
    for _ in range(3):
        print(f"beside {sum(held)} slow ones {list(held)}:", asyncio.run(measure(port, cookie)), flush=True)
        time.sleep(5)
    with open(f"/proc/{pid}/status") as status:
        print(*(line.strip() for line in status if line.startswith(("VmRSS", "Threads"))))
    print("descriptors", len(os.listdir(f"/proc/{pid}/fd")))
    others.terminate()


def main():
    program, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        settings = dict(os.environ, PORT="0", DEMO_MODE="true", DATABASE_URL="", DATA_DIR=f"{folder}/data",
                        LOG_LEVEL="error", RATE_LIMIT_PER_USER="0", RATE_LIMIT_GLOBAL="0")
        server = subprocess.Popen([os.path.abspath(program)], env=settings, cwd=folder, stdout=subprocess.PIPE, text=True)
        try:
            port = int(server.stdout.readline().rsplit(":", 1)[1])
            demo = urllib.request.Request(f"http://127.0.0.1:{port}/api/auth/demo", b"{}", {"Origin": f"http://localhost:{port}"})
            with urllib.request.urlopen(demo) as reply:
                json.load(reply)
                cookie = reply.headers["Set-Cookie"].split(";")[0]
            run(port, cookie, count, server.pid)
        finally:
            server.terminate()
            server.wait()


main()
