"""Processing backends for workers of tests, for LOOM and for Heddle alike."""

import asyncio

try:
    from heddle.worker.processor import ProcessingBackend
except ImportError:
    from loom.worker.processor import ProcessingBackend


class Words(ProcessingBackend):
    """Counts words, as `wc -w` does."""

    async def process(self, payload, config):
        return {"output": {"word_count": len(payload["text"].split())}, "model_used": "words"}


class Lines(ProcessingBackend):
    """Counts line ends, as `wc -l` does."""

    async def process(self, payload, config):
        return {"output": {"line_count": payload["text"].count("\n")}, "model_used": "lines"}


class Odd(ProcessingBackend):
    """Does what the payload says: waits, fails, answers the wrong thing or a lot of it."""

    async def process(self, payload, config):
        await asyncio.sleep(payload.get("sleep_ms", 0) / 1000)
        if "fail" in payload:
            raise RuntimeError(payload["fail"])
        if payload.get("wrong"):
            return {"output": {"text": 7}, "model_used": "odd"}
        output = {"text": payload["text"] + "x" * payload.get("pad", 0)}
        if "error" in payload:
            output["error"] = payload["error"]
        return {"output": output, "model_used": "odd"}


class Agent(ProcessingBackend):
    """Takes a turn in a council without a model."""

    async def process(self, payload, config):
        said = f"{payload['role']}: round {payload['round_num']} on {payload['topic']}"
        return {"output": {"content": said}, "model_used": "agent"}
