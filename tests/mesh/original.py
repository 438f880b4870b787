"""What Heddle's own code says, for tests to compare with: original.py scores|impact|sessions|register, JSON in, JSON out."""

import asyncio
import json
import sys
from types import SimpleNamespace


def scores(asked):
    """The score of each case of a suite, whose cases hold their `output` (or `error`)."""
    from heddle.workshop.eval_runner import EvalRunner

    answers = iter(asked["cases"])
    kept = {}

    class Runner:
        async def run(self, config, payload, tier):
            case = next(answers)
            failed = case.get("error")
            return SimpleNamespace(
                success=not failed, output=case.get("output"), error=failed, raw_response="", validation_errors=[],
                token_usage={}, latency_ms=0, model_used="",
            )

    class Kept:
        def save_worker_version(self, *rest):
            return "v"

        def save_eval_run(self, **rest):
            return "r"

        def save_eval_result(self, case_name, score=0.0, **rest):
            kept[case_name] = score

        def update_eval_run(self, *rest):
            pass

    suite = [{k: case[k] for k in ("name", "input", "expected_output")} for case in asked["cases"]]
    run = EvalRunner(Runner(), Kept()).run_suite({"name": "w"}, suite, scoring=asked["scoring"], max_concurrency=1)
    asyncio.run(run)
    return kept


def impact(asked):
    """The impact of each of the workers."""
    from heddle.workshop.config_impact import get_impact
    from heddle.workshop.config_manager import ConfigManager

    manager = ConfigManager(asked["configs_dir"])
    return {worker: get_impact(worker, manager) for worker in asked["workers"]}


def sessions(_):
    """The active sessions of this home folder."""
    from heddle.mcp.session_registry import get_active_sessions

    return get_active_sessions()


def register(asked):
    """Writes a marker."""
    from heddle.mcp.session_registry import register_session

    register_session(**asked)


# Logs go to standard output there.
out, sys.stdout = sys.stdout, sys.stderr
told = {"scores": scores, "impact": impact, "sessions": sessions, "register": register}[sys.argv[1]](json.load(sys.stdin))
json.dump(told, out)
