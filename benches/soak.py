"""Steady load for a while, and whether anything grows: memory, connections of the pool, descriptors.

    cargo build --release
    python3 benches/soak.py target/release/paraplanner [minutes, 30]

Starts the demo with a fresh database and fills its book. Four clients then chat (without a model), three search,
two upload and read, two deliver webhooks (signed and forged), and eight listen to events and come back every twenty
seconds; each rests between two requests, so that the load stays the same. A line every half a minute, and in the end
the growth of memory over the last two thirds, by least squares. Fails when memory grows by 1 MiB a minute or more,
when descriptors or connections grew, or when a request failed.
"""

import json
import os
import random
import sys
import threading
import time

from running import WORDS, Client, demo

program = sys.argv[1]
minutes = float(sys.argv[2]) if len(sys.argv) > 2 else 30.0

stop = threading.Event()
lock = threading.Lock()
done, failed = {}, []


def note(kind, problem=None):
    with lock:
        done[kind] = done.get(kind, 0) + 1
        if problem:
            failed.append(f"{kind}: {problem}")


def forever(kind, pause, act):
    client = Client(base, cookie)
    while not stop.is_set():
        try:
            note(kind, act(client))
        except Exception as error:
            client.connection = None
            note(kind, repr(error))
        stop.wait(random.uniform(0.5, 1.5) * pause)


def expect(status, wanted):
    return None if status in wanted else f"status {status}"


def chat(client):
    status, whole = client.chat()
    return expect(status, {200}) or (None if whole else "no end")


def search(client):
    return expect(client.call("POST", "/api/embeddings/search", json.dumps({"query": random.choice(WORDS)}))[0], {200})


def upload(client):
    text = f"Met {random.choice(WORDS)} people, number {random.getrandbits(40)}."
    body = ("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"n.md\"\r\n\r\n" + text + "\r\n--b--\r\n").encode()
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    bad = expect(client.call("POST", "/api/ingest/documents", body, kind)[0], {202})
    return bad or expect(client.call("GET", "/api/tasks?limit=20")[0], {200})


def webhook(client):
    forged = random.random() < 0.2
    return expect(client.deliver(forged), {401, 429} if forged else {200})


def listen(client):
    reply = client.open("GET", "/api/events")
    bad = expect(reply.status, {200})
    until = time.monotonic() + 20
    client.connection.sock and client.connection.sock.settimeout(25)
    while not bad and time.monotonic() < until and not stop.is_set():
        if not reply.readline():
            break
    client.connection.close()
    client.connection = None
    return bad


def look():
    status = open(f"/proc/{child.pid}/status").read()
    rss = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))
    descriptors = len(os.listdir(f"/proc/{child.pid}/fd"))
    health = json.loads(Client(base).call("GET", "/health/database")[1])
    return rss / 1024, descriptors, health


with demo(program) as (child, base, cookie):
    load = [(chat, 1.0, 4), (search, 0.5, 3), (upload, 4.0, 2), (webhook, 0.5, 2), (listen, 0.1, 8)]
    threads = [threading.Thread(target=forever, args=(act.__name__, pause, act), daemon=True)
               for act, pause, count in load for _ in range(count)]
    for thread in threads:
        thread.start()
    began, seen = time.monotonic(), []
    while (elapsed := time.monotonic() - began) < minutes * 60:
        stop.wait(30)
        rss, descriptors, health = look()
        seen.append(((time.monotonic() - began) / 60, rss, descriptors, health["pool"]["size"]))
        print(f"{seen[-1][0]:5.1f} min  {rss:6.1f} MiB  {descriptors:4d} descriptors  pool {json.dumps(health['pool'])}  "
              f"{sum(done.values())} requests, {len(failed)} failed", flush=True)
    stop.set()
    for thread in threads:
        thread.join(30)

steady = [row for row in seen if row[0] >= seen[-1][0] / 3]
times, sizes = [row[0] for row in steady], [row[1] for row in steady]
middle, mean = sum(times) / len(times), sum(sizes) / len(sizes)
slope = sum((t - middle) * (s - mean) for t, s in zip(times, sizes)) / max(sum((t - middle) ** 2 for t in times), 1e-9)
half = len(steady) // 2
growth = {name: max(row[place] for row in steady[half:]) - max(row[place] for row in steady[:half])
          for name, place in [("descriptors", 2), ("connections", 3)]}
print(f"{done}; memory grows by {slope:.2f} MiB a minute; growth {growth}")
for problem in failed[:10]:
    print(problem)
sys.exit(0 if slope < 1.0 and not failed and max(growth.values()) <= 10 else 1)
