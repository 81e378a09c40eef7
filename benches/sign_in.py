"""What a sign-in costs beside the provider's own time.

    cargo build --release
    python3 benches/sign_in.py target/release/paraplanner [sign-ins]

Starts the demo with a fresh database, signs in again and again through the simulated consent, and
prints, from the program's own metrics, the mean time of `start` and `callback` and what remains of the
latter without the calls to the provider. Then the time of an authenticated request, one after the other.
"""

import http.client
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse

program, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 300
EMAIL = "sam@second-advisory.example"


class Origin:
    """Keeps one connection and our cookies; follows nothing."""

    def __init__(self, netloc):
        self.connection = http.client.HTTPConnection(netloc)
        self.cookies = {}

    def call(self, method, target, body=None, headers=()):
        sent = dict(headers)
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        self.connection.request(method, target, body, sent)
        reply = self.connection.getresponse()
        text = reply.read()
        for name, value in reply.getheaders():
            if name.lower() == "set-cookie":
                cookie = value.split(";")[0].split("=", 1)
                self.cookies[cookie[0]] = cookie[1]
        return reply.status, reply.getheader("Location"), text.decode()


def target(url):
    parts = urllib.parse.urlsplit(url)
    return parts.path + ("?" + parts.query if parts.query else "")


def sign_in(ours, google):
    ours.cookies.clear()
    status, location, text = ours.call("GET", "/api/auth/google/start")
    assert status == 302, text
    if google is None:
        google = Origin(urllib.parse.urlsplit(location).netloc)
    form = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).query))
    form |= {"email": EMAIL, "decision": "allow"}
    fields = list(form.items()) + [("granted", scope) for scope in form["scope"].split()]
    status, location, text = google.call(
        "POST",
        target(location),
        urllib.parse.urlencode(fields),
        {"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert status == 303, (status, text)
    status, location, text = ours.call("GET", target(location))
    assert status == 302 and "error" not in location, (status, location, text)
    return google


def total(metrics, name, *labels):
    """Sum and count of a histogram over the series with these labels."""
    found = {"sum": 0.0, "count": 0.0}
    for line in metrics.splitlines():
        match = re.match(rf"{name}_(sum|count)({{.*}})? (\S+)", line)
        if match and all(label in (match[2] or "") for label in labels):
            found[match[1]] += float(match[3])
    return found["sum"], found["count"]


def processor_ms(pid):
    """What the process has used so far; the database's processes aren't in it. Linux only."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


with tempfile.TemporaryDirectory() as folder:
    os.chmod(folder, 0o755)
    environment = os.environ | {"DATA_DIR": folder + "/data", "DATABASE_URL": "", "PORT": "0", "LOG_LEVEL": "warn"}
    # Only signing in is measured: nothing is imported meanwhile.
    environment["WORKER_ENABLED"] = "false"
    server = subprocess.Popen([program, "demo"], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        ours = Origin(server.stdout.readline().split("//")[1].strip())
        google = None
        for _ in range(20):
            google = sign_in(ours, google)
        before = ours.call("GET", "/metrics")[2]
        for _ in range(rounds):
            sign_in(ours, google)
        after = ours.call("GET", "/metrics")[2]

        def mean(name, *labels):
            (sum_after, count_after), (sum_before, count_before) = total(after, name, *labels), total(before, name, *labels)
            return 1000 * (sum_after - sum_before) / max(count_after - count_before, 1)

        name = "paraplanner_http_request_duration_seconds"
        start = mean(name, 'route="/api/auth/google/start"')
        callback = mean(name, 'route="/api/auth/google/callback"')
        provider = mean("paraplanner_provider_request_duration_seconds", 'provider="google"')
        print(f"{rounds} sign-ins: start {start:.2f} ms, callback {callback:.2f} ms, of which Google {provider:.2f} ms, ours {callback - provider:.2f} ms")
        requests = 10 * rounds
        began, used = time.perf_counter(), processor_ms(server.pid)
        for _ in range(requests):
            assert ours.call("GET", "/api/auth/options")[0] == 200
        took, used = 1000 * (time.perf_counter() - began), processor_ms(server.pid) - used
        print(f"an authenticated request: {took / requests:.2f} ms, the client's part included; {used / requests:.3f} ms of processor, the whole request")
    finally:
        server.terminate()
        server.wait()
