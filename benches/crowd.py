"""How long a provider waits for the answer to its delivery while very many ask the assistant at once.

    python3 benches/crowd.py target/release/paraplanner [questions at once, 400] [seconds, 30]

A delivery every fiftieth of a second, first alone and then beside the crowd, which asks without a pause and without a
model, so that the program itself finds the passages. Fails when a delivery wasn't taken, or the crowd got anything but
a whole answer, a 429 or a 503 (256 answers at once are what there is room for, and one user's share is all of it here).
"""

import collections
import sys
import threading
import time

from running import Client, demo

program = sys.argv[1]
crowd = int(sys.argv[2]) if len(sys.argv) > 2 else 400
seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 30.0
SENDERS = 4
RATE = 50


def deliver(base, until, times, statuses):
    client = Client(base)
    due = time.monotonic()
    while (due := due + SENDERS / RATE) < until:
        time.sleep(max(0.0, due - time.monotonic()))
        started = time.monotonic()
        statuses[client.deliver()] += 1
        times.append(time.monotonic() - started)


def ask(base, cookie, until, statuses):
    client = Client(base, cookie)
    while time.monotonic() < until:
        status, whole = client.chat()
        statuses[status if status != 200 or whole else "broken off"] += 1
        if status in (429, 503):
            time.sleep(0.5)


def round_of(base, cookie, asking):
    until = time.monotonic() + seconds
    times, delivered, answered = [], collections.Counter(), collections.Counter()
    threads = [threading.Thread(target=ask, args=(base, cookie, until, answered)) for _ in range(asking)]
    threads += [threading.Thread(target=deliver, args=(base, until, times, delivered)) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times.sort()
    at = lambda share: times[int((len(times) - 1) * share)] * 1000
    print(f"beside {asking} who ask: deliveries {dict(delivered)}, p50 {at(0.5):.1f} ms, p99 {at(0.99):.1f} ms, at most {at(1):.0f} ms; "
          f"answers {dict(answered)}", flush=True)
    return set(delivered) == {200} and set(answered) <= {200, 429, 503}


with demo(program) as (_, base, cookie):
    sound = [round_of(base, cookie, asking) for asking in (0, crowd)]
sys.exit(0 if all(sound) else 1)
