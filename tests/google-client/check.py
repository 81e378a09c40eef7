"""Google's own client walks through the simulated Gmail and Calendar.

Every reply is held against the schema of the client's discovery document. Usage:
    paraplanner simulator --port 4010
    python check.py http://127.0.0.1:4010
"""

import base64
import datetime
import http.server
import json
import re
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import google.oauth2.credentials
import googleapiclient.errors
import jsonschema
from googleapiclient import discovery
from googleapiclient.discovery_cache import get_static_doc
from googleapiclient.http import MediaInMemoryUpload

ADVISOR, SECOND = "advisor@example.com", "second@example.com"
SCOPES = "openid email https://mail.google.com/ https://www.googleapis.com/auth/calendar"
BACK = "http://localhost:8080/api/auth/google/callback"
base = sys.argv[1].rstrip("/")


def draft_2020(node):
    """A discovery schema as JSON Schema: references resolve, 64-bit numbers are text."""
    if isinstance(node, list):
        return [draft_2020(item) for item in node]
    if not isinstance(node, dict):
        return node
    result = {}
    for key, value in node.items():
        if key == "$ref":
            result[key] = "#/$defs/" + value
        elif key == "type" and value == "any":
            continue
        elif key in ("properties", "additionalProperties", "items"):
            result[key] = (
                {name: draft_2020(inner) for name, inner in value.items()}
                if key == "properties"
                else draft_2020(value)
            )
        elif key in ("type", "enum"):
            result[key] = value
        elif key == "format" and value in ("int64", "uint64"):
            result["pattern"] = "^-?[0-9]+$"
        elif key == "format" and value == "byte":
            result["pattern"] = "^[A-Za-z0-9_+/=-]*$"
        elif key == "format" and value == "date-time":
            result["pattern"] = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"
        elif key == "format" and value == "date":
            result["pattern"] = r"^\d{4}-\d\d-\d\d$"
    return result


def strict(schema, node=None):
    """Fields that the document doesn't know are mistakes of the simulator's."""
    node = schema if node is None else node
    if isinstance(node, dict):
        if "properties" in node and isinstance(node["properties"], dict):
            node.setdefault("additionalProperties", False)
        for value in list(node.values()):
            strict(schema, value)
    return node


class Api:
    """An API whose replies are all checked."""

    def __init__(self, name, version, token):
        document = json.loads(get_static_doc(name, version))
        document["rootUrl"] = base + "/"
        document["mtlsRootUrl"] = base + "/"
        document["baseUrl"] = base + "/" + document["servicePath"]
        # One of the two batch paths of each API.
        document["batchPath"] = f"batch/{name}/{version}"
        self.schemas = strict({key: draft_2020(value) for key, value in document["schemas"].items()})
        self.methods = {}
        self._collect(document)
        credentials = google.oauth2.credentials.Credentials(token)
        self.service = discovery.build_from_document(document, credentials=credentials)
        self.checked = set()

    def _collect(self, node):
        for method in node.get("methods", {}).values():
            self.methods[method["id"]] = method
        for resource in node.get("resources", {}).values():
            self._collect(resource)

    def check(self, method, reply):
        expected = self.methods[method].get("response", {}).get("$ref")
        self.checked.add(method)
        if expected is None:
            assert not reply, f"{method} replied {reply}"
            return reply
        schema = {"$ref": f"#/$defs/{expected}", "$defs": self.schemas}
        try:
            jsonschema.Draft202012Validator(schema).validate(reply)
        except jsonschema.ValidationError as error:
            path = "/".join(map(str, error.absolute_path))
            raise SystemExit(f"{method}: {path}: {error.message}\n{json.dumps(reply)[:600]}")
        return reply

    def __call__(self, request):
        return self.check(request.methodId, request.execute())


def refused(status, reason, request):
    try:
        request.execute()
    except googleapiclient.errors.HttpError as error:
        found = json.loads(error.content)["error"]["errors"][0]["reason"]
        assert (error.status_code, found) == (status, reason), (error.status_code, error.content)
        return
    raise SystemExit(f"{request.methodId} wasn't refused with {status} {reason}")


def steer(method, path, body):
    request = urllib.request.Request(
        base + path, json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method
    )
    with urllib.request.urlopen(request) as response:
        return json.loads(response.read() or b"{}")


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def sign_in(email):
    """Through the consent page and the token endpoint."""
    asked = {
        "client_id": settings["GOOGLE_CLIENT_ID"],
        "redirect_uri": BACK,
        "response_type": "code",
        "scope": SCOPES,
        "access_type": "offline",
        "state": "s",
    }
    url = settings["GOOGLE_AUTH_URL"] + "?" + urllib.parse.urlencode(asked)
    with urllib.request.urlopen(url) as page:
        assert email in page.read().decode()
    form = list(asked.items()) + [("email", email), ("decision", "allow")]
    form += [("granted", scope) for scope in SCOPES.split()]
    opener = urllib.request.build_opener(Stay)
    try:
        opener.open(settings["GOOGLE_AUTH_URL"], urllib.parse.urlencode(form).encode())
        raise SystemExit("the consent page led nowhere")
    except urllib.error.HTTPError as error:
        back = urllib.parse.urlparse(error.headers["Location"])
    code = urllib.parse.parse_qs(back.query)["code"][0]
    grant = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": BACK,
        "client_id": settings["GOOGLE_CLIENT_ID"],
        "client_secret": settings["GOOGLE_CLIENT_SECRET"],
    }
    body = urllib.parse.urlencode(grant).encode()
    with urllib.request.urlopen(settings["GOOGLE_TOKEN_URL"], body) as response:
        return json.loads(response.read())["access_token"]


settings = {
    "GOOGLE_CLIENT_ID": "simulated.apps.googleusercontent.com",
    "GOOGLE_CLIENT_SECRET": "simulated-google-client-secret",
    "GOOGLE_AUTH_URL": base + "/o/oauth2/v2/auth",
    "GOOGLE_TOKEN_URL": base + "/token",
}
heard = []


class Ear(http.server.BaseHTTPRequestHandler):
    """Where pushes and channel notifications arrive."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        heard.append((self.path, headers, body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def hear(what):
    """Waits for a notification."""
    for _ in range(100):
        found = [entry for entry in heard if what(entry)]
        if found:
            return found[0]
        time.sleep(0.05)
    raise SystemExit("a notification didn't come")


def encoded(text):
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decoded(data):
    return base64.urlsafe_b64decode(data + "=" * (-len(data) % 4)).decode()


def mails(gmail, ear):
    me = gmail.service.users()
    messages, drafts, threads, labels = me.messages(), me.drafts(), me.threads(), me.labels()
    profile = gmail(me.getProfile(userId="me"))
    start = profile["historyId"]
    steer("PUT", "/sim/google/push", {"endpoint": ear + "/push"})
    watch = gmail(me.watch(userId="me", body={"topicName": "projects/sim/topics/gmail"}))
    assert int(watch["expiration"]) > time.time() * 1000
    push = hear(lambda entry: entry[0] == "/push")
    assert push[1]["authorization"].startswith("Bearer ")
    first = steer(
        "POST",
        f"/sim/google/{ADVISOR}/mails",
        {
            "mail": {
                "from": "Ann Lee <ann@example.org>",
                "to": [f"Alex <{ADVISOR}>"],
                "subject": "Grüße — plan",
                "text": "See you Tuesday, ✓ <ok>?",
                "html": "<p>See you Tuesday</p>",
                "message_id": "<a1@mail.example.org>",
                "attachments": [
                    {
                        "filename": "plan.pdf",
                        "content_type": "application/pdf",
                        "data": base64.b64encode(b"%PDF" * 500).decode(),
                    }
                ],
            }
        },
    )["id"]
    listed = gmail(messages.list(userId="me", q="from:ann@example.org subject:plan newer_than:1d"))
    assert [entry["id"] for entry in listed["messages"]] == [first], listed
    full = gmail(messages.get(userId="me", id=first))
    assert "Grüße" in json.dumps(full["payload"]["headers"], ensure_ascii=False)
    mixed = full["payload"]["parts"]
    assert decoded(mixed[0]["parts"][0]["body"]["data"]).strip() == "See you Tuesday, ✓ <ok>?"
    pdf = mixed[1]
    assert pdf["partId"] == "1" and pdf["filename"] == "plan.pdf"
    again = gmail(messages.get(userId="me", id=first))["payload"]["parts"][1]["body"]
    assert again["attachmentId"] != pdf["body"]["attachmentId"]
    attachment = gmail(
        messages.attachments().get(userId="me", messageId=first, id=pdf["body"]["attachmentId"])
    )
    assert decoded(attachment["data"]) == "%PDF" * 500
    for form in ("raw", "minimal", "metadata"):
        gmail(messages.get(userId="me", id=first, format=form, metadataHeaders=["Message-ID"]))
    partial = messages.get(userId="me", id=first, fields="id,payload(mimeType)").execute()
    assert set(partial) == {"id", "payload"} and set(partial["payload"]) == {"mimeType"}, partial

    answer = (
        f"To: ann@example.org\r\nBcc: {SECOND}\r\nSubject: Re: Grüße — plan\r\n"
        "In-Reply-To: <a1@mail.example.org>\r\nReferences: <a1@mail.example.org>\r\n\r\nYes"
    )
    sent = gmail(
        messages.send(userId="me", body={"raw": encoded(answer), "threadId": full["threadId"]})
    )
    assert sent["threadId"] == full["threadId"] and "SENT" in sent["labelIds"]
    upload = MediaInMemoryUpload(
        f"To: {SECOND}\r\nSubject: Uploaded\r\n\r\nHello".encode(), "message/rfc822"
    )
    gmail(messages.send(userId="me", body={}, media_body=upload))
    refused(400, "invalidArgument", messages.send(userId="me", body={"raw": encoded("To: nobody\r\n\r\nx")}))
    refused(400, "invalidArgument", messages.send(userId="me", body={"raw": encoded("Subject: x\r\n\r\nx")}))

    gmail(messages.modify(userId="me", id=first, body={"removeLabelIds": ["UNREAD"]}))
    gmail(messages.trash(userId="me", id=first))
    assert not gmail(messages.list(userId="me", q="from:ann@example.org")).get("messages")
    assert gmail(messages.list(userId="me", q="in:anywhere from:ann@example.org"))["messages"]
    gmail(messages.untrash(userId="me", id=first))
    label = gmail(labels.create(userId="me", body={"name": "Clients/New"}))["id"]
    gmail(labels.get(userId="me", id=label))
    gmail(labels.list(userId="me"))
    gmail(messages.batchModify(userId="me", body={"ids": [first], "addLabelIds": [label]}))
    assert gmail(messages.list(userId="me", q="label:clients-new"))["messages"]

    thread = gmail(threads.get(userId="me", id=full["threadId"]))
    assert [entry["id"] for entry in thread["messages"]] == [first, sent["id"]]
    gmail(threads.list(userId="me"))
    gmail(threads.modify(userId="me", id=thread["id"], body={"addLabelIds": ["STARRED"]}))

    raw = encoded("To: ann@example.org\r\nSubject: Draft\r\n\r\nHi")
    draft = gmail(drafts.create(userId="me", body={"message": {"raw": raw}}))
    gmail(drafts.list(userId="me"))
    gmail(drafts.get(userId="me", id=draft["id"]))
    changed = gmail(drafts.update(userId="me", id=draft["id"], body={"message": {"raw": raw}}))
    assert changed["message"]["id"] != draft["message"]["id"]
    gmail(drafts.send(userId="me", body={"id": draft["id"]}))
    refused(404, "notFound", drafts.send(userId="me", body={"id": draft["id"]}))
    refused(404, "notFound", drafts.get(userId="me", id=draft["id"]))
    other = gmail(drafts.create(userId="me", body={"message": {"raw": raw}}))
    gmail(drafts.delete(userId="me", id=other["id"]))

    kinds, page, token = set(), None, None
    while page is None or token:
        page = gmail(
            me.history().list(userId="me", startHistoryId=start, maxResults=3, pageToken=token)
        )
        token = page.get("nextPageToken")
        for record in page["history"]:
            kinds |= {key for key in record if key not in ("id", "messages")}
    assert kinds == {"messagesAdded", "messagesDeleted", "labelsAdded", "labelsRemoved"}, kinds
    token, seen = None, []
    while True:
        page = gmail(messages.list(userId="me", maxResults=2, pageToken=token, includeSpamTrash=True))
        seen += [entry["id"] for entry in page["messages"]]
        token = page.get("nextPageToken")
        if not token:
            break
    assert len(seen) == len(set(seen)) == gmail(me.getProfile(userId="me"))["messagesTotal"]

    results = {}
    batch = gmail.service.new_batch_http_request(
        callback=lambda name, reply, error: results.update({name: (reply, error)})
    )
    for place, entry in enumerate(seen[:5]):
        batch.add(messages.get(userId="me", id=entry), request_id=str(place))
    batch.add(messages.get(userId="me", id="abc123"), request_id="gone")
    steer("PUT", "/sim/google/switches", {"shuffle_batches": True})
    batch.execute()
    steer("PUT", "/sim/google/switches", {})
    for place, entry in enumerate(seen[:5]):
        assert gmail.check("gmail.users.messages.get", results[str(place)][0])["id"] == entry
    assert results["gone"][1].status_code == 404

    gmail(messages.delete(userId="me", id=first))
    refused(404, "notFound", messages.get(userId="me", id=first))
    steer("POST", f"/sim/google/{ADVISOR}/history/expire", {})
    refused(404, "notFound", me.history().list(userId="me", startHistoryId=start))
    gmail(me.stop(userId="me"))


def events_of(calendar, **parameters):
    found, token = [], None
    while True:
        page = calendar(
            calendar.service.events().list(calendarId="primary", pageToken=token, **parameters)
        )
        found += page["items"]
        token = page.get("nextPageToken")
        assert not (token and page.get("nextSyncToken"))
        if not token:
            return found, page.get("nextSyncToken")


def meetings(calendar, other, ear):
    events = calendar.service.events()
    calendar(calendar.service.calendarList().list())
    calendar(calendar.service.calendarList().get(calendarId="primary"))
    calendar(calendar.service.calendars().get(calendarId="primary"))
    zone = calendar(calendar.service.settings().get(setting="timezone"))["value"]
    calendar(calendar.service.settings().list())
    body = {"id": "channel-1", "type": "web_hook", "address": ear + "/channel", "token": "t"}
    channel = calendar(events.watch(calendarId="primary", body=body))
    refused(400, "channelIdNotUnique", events.watch(calendarId="primary", body=body))
    body["id"] = "channel-2"
    calendar(calendar.service.calendarList().watch(body=body))
    _, sync = events_of(calendar)

    day = (datetime.date.today() + datetime.timedelta(days=7)).isoformat()
    at = lambda hour: {"dateTime": f"{day}T{hour:02}:00:00", "timeZone": zone}
    meeting = {
        "id": "advisor0a1b2c3d",
        "summary": "Call with Sam",
        "start": at(10),
        "end": at(11),
        "attendees": [{"email": SECOND}],
        "extendedProperties": {"private": {"advisorTask": "t1"}},
        "conferenceData": {
            "createRequest": {"requestId": "r-1", "conferenceSolutionKey": {"type": "hangoutsMeet"}}
        },
    }
    insert = lambda: events.insert(
        calendarId="primary", body=meeting, conferenceDataVersion=1, sendUpdates="all"
    )
    made = calendar(insert())
    assert made["conferenceData"]["createRequest"]["status"]["statusCode"] == "pending"
    refused(409, "duplicate", insert())
    got = calendar(events.get(calendarId="primary", eventId=meeting["id"]))
    assert got["hangoutLink"].startswith("https://meet.google.com/")
    exists = hear(lambda entry: entry[1].get("x-goog-resource-state") == "exists")
    assert exists[1]["x-goog-channel-id"] == "channel-1" and not exists[2]
    assert exists[1]["x-goog-channel-token"] == "t"

    copies, _ = events_of(other)
    assert copies[0]["iCalUID"] == got["iCalUID"]
    answered = [{"email": SECOND, "responseStatus": "accepted", "self": True}]
    other(
        other.service.events().patch(
            calendarId="primary", eventId=copies[0]["id"], body={"attendees": answered}
        )
    )
    change = {"summary": "Mine"}
    refused(
        403,
        "forbiddenForNonOrganizer",
        other.service.events().patch(calendarId="primary", eventId=copies[0]["id"], body=change),
    )
    got = calendar(events.get(calendarId="primary", eventId=meeting["id"]))
    assert got["attendees"][0]["responseStatus"] == "accepted"

    late = events.patch(calendarId="primary", eventId=meeting["id"], body={"summary": "Late"})
    late.headers["If-Match"] = made["etag"]
    refused(412, "conditionNotMet", late)
    calendar(events.patch(calendarId="primary", eventId=meeting["id"], body={"summary": "Call"}))
    got["summary"] = "Call again"
    calendar(events.update(calendarId="primary", eventId=meeting["id"], body=got))

    series = calendar(
        events.insert(
            calendarId="primary",
            body={
                "summary": "Weekly",
                "start": at(14),
                "end": at(15),
                "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4"],
            },
        )
    )
    instances = calendar(events.instances(calendarId="primary", eventId=series["id"]))["items"]
    assert len(instances) == 4
    calendar(
        events.patch(calendarId="primary", eventId=instances[1]["id"], body={"summary": "Moved"})
    )
    calendar.check(
        "calendar.events.delete",
        events.delete(calendarId="primary", eventId=instances[2]["id"]).execute(),
    )
    window = {
        "timeMin": f"{day}T00:00:00Z",
        "timeMax": (datetime.date.today() + datetime.timedelta(days=60)).isoformat() + "T00:00:00Z",
    }
    single, _ = events_of(calendar, singleEvents=True, orderBy="startTime", maxResults=2, **window)
    assert [entry["summary"] for entry in single] == ["Call again", "Weekly", "Moved", "Weekly"]
    masters, _ = events_of(calendar, **window)
    assert any(entry["status"] == "cancelled" for entry in masters)
    found, _ = events_of(calendar, privateExtendedProperty="advisorTask=t1")
    assert [entry["id"] for entry in found] == [meeting["id"]]
    changes, newer = events_of(calendar, syncToken=sync)
    assert {entry["id"] for entry in changes} >= {meeting["id"], series["id"]}
    refused(400, "badRequest", events.list(calendarId="primary", syncToken=sync, q="x"))
    calendar.check(
        "calendar.events.delete",
        events.delete(calendarId="primary", eventId=meeting["id"], sendUpdates="all").execute(),
    )
    refused(410, "deleted", events.delete(calendarId="primary", eventId=meeting["id"]))
    changes, _ = events_of(calendar, syncToken=newer)
    assert [(entry["id"], entry["status"]) for entry in changes] == [(meeting["id"], "cancelled")]
    steer("POST", f"/sim/google/{ADVISOR}/sync-tokens/expire", {})
    refused(410, "fullSyncRequired", events.list(calendarId="primary", syncToken=newer))

    items = [{"id": "primary"}, {"id": "nobody@example.org"}]
    busy = calendar(calendar.service.freebusy().query(body={**window, "items": items}))["calendars"]
    assert len(busy["primary"]["busy"]) == 3, busy
    assert busy["nobody@example.org"]["errors"][0]["reason"] == "notFound"

    results = {}
    batch = calendar.service.new_batch_http_request(
        callback=lambda name, reply, error: results.update({name: (reply, error)})
    )
    batch.add(events.get(calendarId="primary", eventId=series["id"]), request_id="a")
    batch.add(
        events.insert(calendarId="primary", body={"summary": "B", "start": at(8), "end": at(9)}),
        request_id="b",
    )
    batch.execute()
    calendar.check("calendar.events.get", results["a"][0])
    assert calendar.check("calendar.events.insert", results["b"][0])["summary"] == "B"
    channels = calendar.service.channels()
    stop = {"id": "channel-1", "resourceId": channel["resourceId"]}
    calendar.check("calendar.channels.stop", channels.stop(body=stop).execute())
    refused(404, "notFound", channels.stop(body=stop))


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ear)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ear = f"http://127.0.0.1:{server.server_port}"
    token, second = sign_in(ADVISOR), sign_in(SECOND)
    gmail, calendar = Api("gmail", "v1", token), Api("calendar", "v3", token)
    other, guest = Api("calendar", "v3", second), Api("gmail", "v1", second)
    mails(gmail, ear)
    arrived = guest(guest.service.users().messages().list(userId="me", q="in:inbox"))["messages"]
    assert len(arrived) == 2, arrived
    copy = guest(guest.service.users().messages().get(userId="me", id=arrived[0]["id"]))
    assert not any(header["name"] == "Bcc" for header in copy["payload"]["headers"])
    meetings(calendar, other, ear)
    subjects = []
    for entry in guest(guest.service.users().messages().list(userId="me"))["messages"]:
        headers = guest(guest.service.users().messages().get(userId="me", id=entry["id"]))["payload"]
        subjects += [item["value"] for item in headers["headers"] if item["name"] == "Subject"]
    assert any(re.match("Invitation: Call with Sam", subject) for subject in subjects), subjects
    assert any(re.match("Canceled event: ", subject) for subject in subjects), subjects
    methods = sorted(set().union(*(api.checked for api in (gmail, calendar, other, guest))))
    print(f"{len(methods)} methods fit their schemas:", *methods, sep="\n  ")


main()
