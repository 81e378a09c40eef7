"""A demo of the program with a fresh database and a book that has been read, and what clients of it do."""

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import random
import subprocess
import tempfile
import threading
import time
import urllib.parse

SECRET = b"simulated-client-secret"
WORDS = "pension shares mortgage trust review boat school bakery insurance retire fund tax".split()
# One user stands for many; what a user may ask for is measured elsewhere.
UNLIMITED = {"RATE_LIMIT_PER_USER": "0", "RATE_LIMIT_GLOBAL": "0", "RATE_LIMIT_LLM_PER_USER": "0", "RATE_LIMIT_LLM_GLOBAL": "0"}


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

    def chat(self):
        """The status, and whether the answer came to its end."""
        question = json.dumps({"message": f"What of the {random.choice(WORDS)}?"})
        status, body, _ = self.call("POST", "/api/chat/stream", question)
        return status, b"[DONE]" in body

    def deliver(self, forged=False):
        """A property of a contact has changed, says HubSpot; the status."""
        event = {"eventId": random.getrandbits(31), "subscriptionId": 5, "portalId": 4242, "appId": 1, "attemptNumber": 0,
                 "occurredAt": int(time.time() * 1000), "subscriptionType": "contact.propertyChange", "objectId": 1,
                 "propertyName": "city", "propertyValue": "Dover"}
        body = json.dumps([event])
        at = str(int(time.time() * 1000))
        text = "POST" + self.origin + "/api/webhooks/hubspot" + body + at
        signature = base64.b64encode(hmac.new(SECRET, text.encode(), hashlib.sha256).digest()).decode()
        headers = {"X-HubSpot-Signature-v3": signature[::-1] if forged else signature, "X-HubSpot-Request-Timestamp": at}
        return self.call("POST", "/api/webhooks/hubspot", body, headers)[0]


@contextlib.contextmanager
def demo(program):
    """The process, its address and a session's cookie. The process is stopped in the end, and must end with 0."""
    folder = tempfile.mkdtemp(prefix="bench-")
    child = subprocess.Popen([os.path.abspath(program), "demo"], stdout=subprocess.PIPE, stderr=open(f"{folder}/log", "w"), text=True, cwd=folder,
                             env={**os.environ, "DATA_DIR": f"{folder}/data", "PORT": "0", "LOG_FORMAT": "json", **UNLIMITED})
    try:
        base = child.stdout.readline().split()[-1]
        threading.Thread(target=child.stdout.read, daemon=True).start()
        client = Client(base)
        status, _, reply = client.call("POST", "/api/auth/demo", "{}")
        assert status == 200, status
        client.cookie = reply.getheader("Set-Cookie").split(";")[0]
        # The demo's book is being filled: it grows until it is read.
        while True:
            items = json.loads(client.call("GET", "/api/ingest/status")[1])["items"]
            if items and all(item["state"] == "idle" and item["done"] == item["total"] for item in items):
                break
            time.sleep(1)
        yield child, base, client.cookie
    finally:
        child.terminate()
        code = child.wait(40)
    assert code == 0, f"the program ended with {code}"
