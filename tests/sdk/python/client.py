"""A client made with the official Python SDK, driven by lines of JSON.

    client.py stdio COMMAND [ARGUMENT…]
    client.py http URL

Prints `{"ready": …}` when the session is open. Each line of input is `{"id": …, "do": …}`, answered by a line
`{"id": …, "ok": …}` or `{"id": …, "error": …}`, in any order. Notifications are printed as `{"notification": …}`.
"""

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
from typing import Any

from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import Notification, ServerNotification
from pydantic import RootModel


class AnyNotification(RootModel[ServerNotification | Notification[dict[str, Any] | None, str]]):
    """Also notifications that MCP does not know: the SDK drops them otherwise."""


def say(**line: Any) -> None:
    print(json.dumps(line), flush=True)


def dump(model: Any) -> Any:
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)


class Client:
    def __init__(self) -> None:
        self.session: ClientSession
        self.session_id = lambda: None

    async def open(self, stack: AsyncExitStack, how: str, rest: list[str]) -> None:
        if how == "stdio":
            server = StdioServerParameters(command=rest[0], args=rest[1:], env=dict(os.environ))
            read, write = await stack.enter_async_context(stdio_client(server))
        else:
            streams = await stack.enter_async_context(streamable_http_client(rest[0]))
            read, write, self.session_id = streams
        session = ClientSession(read, write, message_handler=self.heard)
        session._receive_notification_type = AnyNotification
        self.session = await stack.enter_async_context(session)
        say(ready=dump(await self.session.initialize()))

    async def heard(self, message: Any) -> None:
        if isinstance(message, AnyNotification):
            say(notification=dump(message))
        elif isinstance(message, Exception):
            print(f"client: {message!r}", file=sys.stderr)

    async def do(self, request: dict[str, Any]) -> Any:
        match request["do"]:
            case "list":
                return dump(await self.session.list_tools())
            case "call":
                return dump(await self.session.call_tool(request["tool"], request.get("arguments")))
            case "ping":
                return dump(await self.session.send_ping())
            case "session":
                return self.session_id()
            case other:
                raise ValueError(f"unknown: {other}")

    async def answer(self, request: dict[str, Any]) -> None:
        try:
            say(id=request["id"], ok=await self.do(request))
        except McpError as error:
            say(id=request["id"], error={"code": error.error.code, "message": error.error.message})
        except Exception as error:
            say(id=request["id"], error={"code": None, "message": repr(error)})


async def main(how: str, rest: list[str]) -> None:
    client = Client()
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        await client.open(stack, how, rest)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            tasks.create_task(client.answer(json.loads(line)))


asyncio.run(main(sys.argv[1], sys.argv[2:]))
