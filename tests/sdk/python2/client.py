"""A client made with the second generation of the official Python SDK, driven by lines of JSON.

    client.py ERA stdio COMMAND [ARGUMENT…]
    client.py ERA http URL

ERA is `legacy` (it begins with `initialize`) or `auto` (it asks the server what it speaks, and takes the latest).

Prints `{"ready": …}` when the session is open. Each line of input is `{"id": …, "do": …}`, answered by a line
`{"id": …, "ok": …}` or `{"id": …, "error": …}`, in any order. Notifications are printed as `{"notification": …}`, progress of a
call as `{"progress": …, "of": ID}`, and what the server asks as `{"asked": METHOD, "params": …}`.
"""

import asyncio
import json
import os
import sys
import warnings
from typing import Any

import mcp_types as types
from mcp import Client, MCPError, StdioServerParameters
from pydantic import TypeAdapter

warnings.simplefilter("ignore")


def say(**line: Any) -> None:
    print(json.dumps(line), flush=True)


def dump(model: Any) -> Any:
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)


class Driven:
    def __init__(self, mode: str, how: str, rest: list[str]) -> None:
        # What the client answers, by the method that asks.
        self.answers: dict[str, Any] = {}
        self.running: dict[int, asyncio.Task[Any]] = {}
        self.listening: dict[int, asyncio.Task[Any]] = {}
        server: Any = rest[0]
        if how == "stdio":
            server = StdioServerParameters(command=rest[0], args=rest[1:], env=dict(os.environ))
        self.client = Client(
            server,
            mode=mode,
            client_info=types.Implementation(name="sdk-test", version="2"),
            message_handler=self.heard,
            elicitation_callback=self.elicit,
            sampling_callback=self.sample,
            list_roots_callback=self.roots,
        )

    async def heard(self, message: Any) -> None:
        if isinstance(message, Exception):
            print(f"client: {message!r}", file=sys.stderr)
        else:
            say(notification=dump(message))

    def told(self, method: str, params: Any) -> Any:
        say(asked=method, params=dump(params) if params else {})
        return self.answers[method]

    async def elicit(self, _context: Any, params: Any) -> Any:
        return types.ElicitResult.model_validate(self.told("elicitation/create", params))

    async def sample(self, _context: Any, params: Any) -> Any:
        return types.CreateMessageResult.model_validate(self.told("sampling/createMessage", params))

    async def roots(self, _context: Any) -> Any:
        return types.ListRootsResult.model_validate(self.told("roots/list", None))

    async def call(self, request: dict[str, Any]) -> Any:
        async def tell(progress: float, total: float | None, message: str | None) -> None:
            say(progress={"progress": progress, "total": total, "message": message}, of=request["id"])

        watch = tell if request.get("watch") else None
        task = asyncio.ensure_future(
            self.client.call_tool(request["tool"], request.get("arguments"), progress_callback=watch)
        )
        self.running[request["id"]] = task
        try:
            return dump(await task)
        except asyncio.CancelledError:
            raise RuntimeError("cancelled") from None
        finally:
            del self.running[request["id"]]

    async def listen(self, request: dict[str, Any]) -> Any:
        wanted = request["filter"]
        honored = asyncio.get_running_loop().create_future()

        async def hear() -> None:
            try:
                async with self.client.listen(
                    tools_list_changed=wanted.get("toolsListChanged", False),
                    prompts_list_changed=wanted.get("promptsListChanged", False),
                    resources_list_changed=wanted.get("resourcesListChanged", False),
                    resource_subscriptions=wanted.get("resourceSubscriptions", ()),
                ) as subscription:
                    honored.set_result(dump(subscription.honored))
                    async for event in subscription:
                        say(event=type(event).__name__, uri=getattr(event, "uri", None))
            except Exception as error:
                if not honored.done():
                    honored.set_exception(error)

        self.listening[request["id"]] = asyncio.ensure_future(hear())
        return await honored

    async def do(self, request: dict[str, Any]) -> Any:
        client = self.client
        match request["do"]:
            case "list":
                return dump(await client.list_tools())
            case "call":
                return await self.call(request)
            case "cancel":
                return self.running[request["of"]].cancel()
            case "ping":
                return dump(await client.send_ping())
            case "prompts":
                return dump(await client.list_prompts())
            case "prompt":
                return dump(await client.get_prompt(request["name"], request.get("arguments")))
            case "complete":
                ref: Any = TypeAdapter(types.PromptReference | types.ResourceTemplateReference)
                ref = ref.validate_python(request["ref"])
                return dump(await client.complete(ref, request["argument"]))
            case "resources":
                return dump(await client.list_resources())
            case "templates":
                return dump(await client.list_resource_templates())
            case "read":
                return dump(await client.read_resource(request["uri"]))
            case "subscribe":
                return dump(await client.subscribe_resource(request["uri"]))
            case "listen":
                return await self.listen(request)
            case "close":
                return self.listening.pop(request["of"]).cancel()
            case "answers":
                self.answers = request["answers"]
                return {}
            case other:
                raise ValueError(f"unknown: {other}")

    async def answer(self, request: dict[str, Any]) -> None:
        try:
            say(id=request["id"], ok=await self.do(request))
        except MCPError as error:
            say(id=request["id"], error={"code": error.error.code, "message": error.error.message})
        except Exception as error:
            say(id=request["id"], error={"code": None, "message": repr(error)})


async def main(mode: str, how: str, rest: list[str]) -> None:
    driven = Driven(mode, how, rest)
    loop = asyncio.get_running_loop()
    async with driven.client as client:
        info = client.server_info
        say(
            ready={
                "protocolVersion": client.protocol_version,
                "capabilities": dump(client.server_capabilities),
                "serverInfo": dump(info) if info else None,
                "instructions": client.instructions,
            }
        )
        async with asyncio.TaskGroup() as tasks:
            while line := await loop.run_in_executor(None, sys.stdin.readline):
                tasks.create_task(driven.answer(json.loads(line)))
        for task in driven.listening.values():
            task.cancel()


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
