"""Runs a council whose agents are workers: council.py --config FILE --nats-url URL (Heddle only).

Heddle has the actor but no command that starts it. It takes goals as a pipeline does, under a queue group of its own.
"""

import argparse
import asyncio

import structlog
from heddle.contrib.council.orchestrator import CouncilOrchestrator

structlog.configure(processors=[structlog.processors.TimeStamper(fmt="iso"), structlog.processors.JSONRenderer()])
options = argparse.ArgumentParser()
options.add_argument("--config", required=True)
options.add_argument("--nats-url", required=True)
given = options.parse_args()


class Facilitator:
    """Sums a discussion up without a model."""

    async def complete(self, system_prompt, user_message, **rest):
        return {"content": f"{user_message.count('Sees the good side')} good sides", "prompt_tokens": 5, "completion_tokens": 2}


council = CouncilOrchestrator("council", given.config, given.nats_url, backend=Facilitator())
asyncio.run(council.run("heddle.goals.incoming", queue_group="councils"))
