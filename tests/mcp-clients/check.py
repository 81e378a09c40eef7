"""The official Python SDK, unmodified, against a running Paraplanner: with a handshake and without.

BASE_URL is the server's PUBLIC_URL, ADVISORS what `advisors.mjs` printed.
"""

import asyncio
import json
import os
import re

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

ENDPOINT = os.environ["BASE_URL"] + "/mcp"
ADVISORS = json.loads(os.environ["ADVISORS"])


class Connected:
    """A client with a token, in one of the protocol's two ways."""

    def __init__(self, mode, token, **headers):
        self.mode = mode
        self.headers = headers | ({"authorization": f"Bearer {token}"} if token else {})
        self.statuses = []

    async def __aenter__(self):
        async def note(response):
            self.statuses.append(response.status_code)

        hooks = {"response": [note]}
        self.http = httpx2.AsyncClient(headers=self.headers, timeout=60, event_hooks=hooks)
        transport = streamable_http_client(ENDPOINT, http_client=self.http)
        self.client = Client(transport, mode=self.mode)
        return await self.client.__aenter__()

    async def __aexit__(self, *what):
        await self.client.__aexit__(*what)
        await self.http.aclose()


async def called(client, tool, **arguments):
    # The client holds what comes against the announced schema.
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, (tool, result.content)
    return result.structured_content


async def refused(client, tool, **arguments):
    result = await client.call_tool(tool, arguments)
    assert result.is_error, (tool, result)
    return result.content[0].text


async def fails(pattern, attempt):
    try:
        await attempt
    except MCPError as error:
        assert re.search(pattern, str(error)), error
    else:
        raise AssertionError(f"{pattern}: it was allowed")


async def tools(mode):
    async with Connected(mode, ADVISORS["all"]) as client:
        assert client.server_info.name == "paraplanner"
        assert "never an instruction" in client.instructions
        listed = (await client.list_tools()).tools
        assert len(listed) > 15
        assert all(tool.title and tool.annotations.destructive_hint is False for tool in listed)
        found = await called(client, "search", query="annual review", kinds=["email"])
        assert "never obeyed" in found["trust"]
        first = found["results"][0]
        mail = (await called(client, "get_email", id=first["id"]))["results"][0]
        assert mail["ref"] == first["ref"]
        assert (await called(client, "get_thread", thread_id=mail["thread_id"]))["results"]
        contact = (await called(client, "find_contacts", name="a"))["results"][0]
        person = (await called(client, "get_person", id=contact["id"]))["results"][0]
        assert person["name"] == contact["name"]
        await called(client, "list_events")
        draft = await called(client, "draft_email", to=["a@example.com"], subject="Tea", text="Shall we?")
        assert draft["note"] == "Nothing was sent."
        rule = 'when gmail.message.received if subject~"review" then log'
        rehearsal = (await called(client, "preview_rule", text=rule))["results"][0]
        assert rehearsal["rule"]["trigger"] == "gmail.message.received"
        assert (await called(client, "propose_rule", text=rule))["enabled"] is False
        assert (await called(client, "create_task", title="Call them"))["task_id"]
        assert await refused(client, "get_email", id="seven")
        return client.protocol_version


async def resources(mode):
    async with Connected(mode, ADVISORS["reads"]) as client:
        assert len((await client.list_resource_templates()).resource_templates) == 7
        page = await client.list_resources()
        kinds, seen = {}, set()
        while True:
            for resource in page.resources:
                assert resource.uri not in seen
                seen.add(resource.uri)
                kinds.setdefault(resource.uri.split("/")[2], resource.uri)
            if not page.next_cursor:
                break
            page = await client.list_resources(cursor=page.next_cursor)
        assert {"contact", "event", "email"} <= kinds.keys(), kinds
        for uri in kinds.values():
            contents = (await client.read_resource(uri)).contents[0]
            envelope = json.loads(contents.text)
            assert "never obeyed" in envelope["trust"] and envelope["results"][0]["ref"] == uri
        return len(seen)


async def scopes(mode):
    async with Connected(mode, ADVISORS["reads"]) as client:
        assert "create_task" not in {tool.name for tool in (await client.list_tools()).tools}
        assert "lacks the scope" in await refused(client, "create_task", title="Tea")
        await fails("no such tool", client.call_tool("send_email", {}))
    async with Connected(mode, ADVISORS["writes"]) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert names == {"create_task", "propose_rule"}, names
        await fails("lacks the scope", client.list_resources())


async def others(mode):
    mail = ADVISORS["mail"]
    async with Connected(mode, ADVISORS["other"]) as client:
        assert "no mail" in await refused(client, "get_email", id=mail)
        await fails("no mail", client.read_resource(f"paraplanner://email/{mail}"))


async def strangers(mode):
    """The client says no more than that there was an error; the replies say which."""

    async def turned_away(status, token, **headers):
        stranger = Connected(mode, token, **headers)
        try:
            async with stranger as client:
                await client.list_tools()
        except (MCPError, ExceptionGroup):
            assert set(stranger.statuses) == {status}, stranger.statuses
        else:
            raise AssertionError(f"{status}: it was let in")

    await turned_away(401, None)
    await turned_away(401, "ppt_forged")
    await turned_away(403, ADVISORS["reads"], origin="https://evil.example")


async def main():
    for mode, version in [("legacy", "2025-11-25"), ("auto", "2026-07-28")]:
        assert await tools(mode) == version
        count = await resources(mode)
        await scopes(mode)
        await others(mode)
        await strangers(mode)
        print(f"the Python SDK, {version}: tools, {count} resources, scopes, others' ids, strangers")


asyncio.run(main())
