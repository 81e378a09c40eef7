"""Steady load for a while, and whether anything grows: memory, connections of the pool, descriptors.

    cargo build --release
    python3 benches/soak.py target/release/paraplanner [minutes, 30]

Starts the demo with a fresh database and fills its book. Four clients then chat (without a model), three search,
two upload and read, two deliver webhooks (signed and forged), and eight listen to events and come back every twenty
seconds; each rests between two requests, so that the load stays the same. A line every half a minute, and in the end
the growth of memory over the last two thirds, by least squares. Fails when memory grows by 1 MiB a minute or more,
when descriptors or connections grew, or when a request failed.
"""

import base64
import hashlib
import hmac
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

program = sys.argv[1]
minutes = float(sys.argv[2]) if len(sys.argv) > 2 else 30.0
SECRET = b"simulated-client-secret"
WORDS = "pension shares mortgage trust review boat school bakery insurance retire fund tax".split()

stop = threading.Event()
lock = threading.Lock()
done, failed = {}, []


def note(kind, problem=None):
    with lock:
        done[kind] = done.get(kind, 0) + 1
        if problem:
            failed.append(f"{kind}: {problem}")


class Client:
    """Keeps one connection and the session."""

    def __init__(self, base, cookie=None):
        self.base, self.cookie, self.connection = base, cookie, None
        self.origin = f"http://localhost:{urllib.parse.urlsplit(base).port}"

    def open(self, method, path, body=None, headers=()):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.base).netloc, timeout=60)
        sent = {"Origin": self.origin, "Content-Type": "application/json", **dict(headers)}
        if self.cookie:
            sent["Cookie"] = self.cookie
        self.connection.request(method, path, body, sent)
        return self.connection.getresponse()

    def call(self, method, path, body=None, headers=()):
        for attempt in (1, 2):
            try:
                reply = self.open(method, path, body, headers)
                return reply.status, reply.read(), reply
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                # A kept connection that has idled too long is closed; the next one is new.
                self.connection = None
                if attempt == 2:
                    raise


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
    status, body, _ = client.call("POST", "/api/chat/stream", json.dumps({"message": f"What of the {random.choice(WORDS)}?"}))
    return expect(status, {200}) or (None if b"[DONE]" in body else "no end")


def search(client):
    return expect(client.call("POST", "/api/embeddings/search", json.dumps({"query": random.choice(WORDS)}))[0], {200})


def upload(client):
    text = f"Met {random.choice(WORDS)} people, number {random.getrandbits(40)}."
    body = ("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"n.md\"\r\n\r\n" + text + "\r\n--b--\r\n").encode()
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    bad = expect(client.call("POST", "/api/ingest/documents", body, kind)[0], {202})
    return bad or expect(client.call("GET", "/api/tasks?limit=20")[0], {200})


def webhook(client):
    event = {"eventId": random.getrandbits(31), "subscriptionId": 5, "portalId": 4242, "appId": 1, "attemptNumber": 0,
             "occurredAt": int(time.time() * 1000), "subscriptionType": "contact.propertyChange", "objectId": 1,
             "propertyName": "city", "propertyValue": "Dover"}
    body = json.dumps([event])
    at = str(int(time.time() * 1000))
    text = "POST" + client.origin + "/api/webhooks/hubspot" + body + at
    signature = base64.b64encode(hmac.new(SECRET, text.encode(), hashlib.sha256).digest()).decode()
    if random.random() < 0.2:
        signature = signature[::-1]
        wanted = {401, 429}
    else:
        wanted = {200}
    headers = {"X-HubSpot-Signature-v3": signature, "X-HubSpot-Request-Timestamp": at}
    return expect(client.call("POST", "/api/webhooks/hubspot", body, headers)[0], wanted)


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


folder = tempfile.mkdtemp(prefix="soak-")
child = subprocess.Popen([program, "demo"], stdout=subprocess.PIPE, stderr=open(f"{folder}/log", "w"), text=True, cwd=folder,
                         env={**os.environ, "DATA_DIR": f"{folder}/data", "PORT": "0", "LOG_FORMAT": "json",
                              # One user stands for many; what a user may ask for is measured elsewhere.
                              "RATE_LIMIT_PER_USER": "0", "RATE_LIMIT_LLM_PER_USER": "0"})
base = child.stdout.readline().split()[-1]
threading.Thread(target=lambda: child.stdout.read(), daemon=True).start()
try:
    client = Client(base)
    status, _, reply = client.call("POST", "/api/auth/demo", "{}")
    assert status == 200, status
    cookie = reply.getheader("Set-Cookie").split(";")[0]
    client.cookie = cookie
    # The demo's book is being filled: it grows until it is read.
    while True:
        items = json.loads(client.call("GET", "/api/ingest/status")[1])["items"]
        if items and all(item["state"] == "idle" and item["done"] == item["total"] for item in items):
            break
        time.sleep(1)
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
finally:
    child.terminate()
    code = child.wait(40)

steady = [row for row in seen if row[0] >= seen[-1][0] / 3]
times, sizes = [row[0] for row in steady], [row[1] for row in steady]
middle, mean = sum(times) / len(times), sum(sizes) / len(sizes)
slope = sum((t - middle) * (s - mean) for t, s in zip(times, sizes)) / max(sum((t - middle) ** 2 for t in times), 1e-9)
half = len(steady) // 2
growth = {name: max(row[place] for row in steady[half:]) - max(row[place] for row in steady[:half])
          for name, place in [("descriptors", 2), ("connections", 3)]}
print(f"exit {code}; {done}; memory grows by {slope:.2f} MiB a minute; growth {growth}")
for problem in failed[:10]:
    print(problem)
sys.exit(0 if code == 0 and slope < 1.0 and not failed and max(growth.values()) <= 10 else 1)
