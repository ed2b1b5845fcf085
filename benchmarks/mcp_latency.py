"""How long an agent waits for a name over MCP: `suggest_branch_name` over stdio with the model loaded, beside a tool of
a bare server that does nothing, in turns, so that a busy machine slows both alike.

    python -m benchmarks.mcp_latency                 # 200 prompts
    python -m benchmarks.mcp_latency --rounds 50 --mode legacy

It prints a table and then one line of JSON, and ends with exit code 1 where the P95 of a name is above 20 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.server import MCPServer

from wtname import models
from wtname.bench import PROMPTS, percentiles
from wtname.namer import Namer

LIMIT_MS = 20.0
LABELS = {"name": "suggest_branch_name", "nothing": "a tool that does nothing", "inside": "a name without MCP"}


def idle() -> None:
    """A server whose one tool does nothing."""
    server = MCPServer("idle", log_level="ERROR")

    @server.tool()
    def nothing(prompt: str) -> dict[str, str]:
        return {"prompt": prompt}

    server.run()


async def measure(rounds: int, mode: str) -> dict[str, list[float]]:
    """Milliseconds of each call of the two tools, of the same name in this process, and of the first name."""
    env = {**os.environ, "WTNAME_DEADLINE": "60"}
    args = ["-m", "wtname", "mcp", "--model", str(models.PACKAGED)]
    ours = StdioServerParameters(command=sys.executable, args=args, env=env)
    code = "from benchmarks.mcp_latency import idle; idle()"
    other = StdioServerParameters(command=sys.executable, args=["-c", code], env=env)
    found: dict[str, list[float]] = {"name": [], "inside": [], "nothing": [], "first": []}
    namer = Namer(models.PACKAGED, 60)
    namer.name(PROMPTS[0])
    async with Client(ours, mode=mode) as names, Client(other, mode=mode) as idle:

        async def call(kind: str, client: Client, tool: str, prompt: str) -> None:
            began = time.perf_counter()
            done = await client.call_tool(tool, {"prompt": prompt})
            found[kind].append((time.perf_counter() - began) * 1000)
            if tool == "suggest_branch_name":
                told = (done.structured_content or {})["names"][0]
                assert told["source"] == "model", told

        await call("first", names, "suggest_branch_name", PROMPTS[0])
        await idle.call_tool("nothing", {"prompt": ""})
        for i in range(rounds):
            prompt = PROMPTS[i % len(PROMPTS)]
            await call("name", names, "suggest_branch_name", prompt)
            await call("nothing", idle, "nothing", prompt)
            began = time.perf_counter()
            namer.name(prompt)
            found["inside"].append((time.perf_counter() - began) * 1000)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200, help="calls of each")
    parser.add_argument("--mode", choices=["auto", "legacy"], default="auto", help="protocol: the latest, or handshake")
    args = parser.parse_args()
    found = anyio.run(measure, args.rounds, args.mode)
    table = {kind: percentiles(found[kind]) for kind in ("name", "nothing", "inside")}
    print(f"{'milliseconds':<24}{'P50':>8}{'P95':>8}{'P99':>8}")
    for kind, label in LABELS.items():
        print(f"{label:<24}" + "".join(f"{value:8.1f}" for value in table[kind]))
    print(f"{'the first name':<24}{found['first'][0]:8.1f}")
    told = {kind: times._asdict() for kind, times in table.items()}
    print(json.dumps({**told, "first": round(found["first"][0], 1), "rounds": args.rounds, "mode": args.mode}))
    return int(table["name"].p95 > LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
