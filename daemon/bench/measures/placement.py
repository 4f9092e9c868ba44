"""Which provider runs each node of a graph, counted from a profile of a real run."""

import json
import tempfile
from collections import Counter
from pathlib import Path

from daemon.engine import Engine
from daemon.engine.caches.set import device_caches
from daemon.engine.graph_opening import open_graph
from daemon.engine.runtime import Device
from perceivers.manifest import read_manifest

NODE_RUN = "_kernel_time"


def nodes_by_provider(folder: Path, device: Device, precision: str) -> dict[str, dict[str, int]]:
    """Return how many nodes of each operator a provider runs, most first, when a token is read.

    Copies between devices count as nodes: the runtime adds them where one provider is followed by
    another.
    """
    manifest = read_manifest(folder)
    with tempfile.TemporaryDirectory() as scratch:
        graph = open_graph(folder, manifest, device, precision, profile=Path(scratch, "run"))
        Engine(manifest, graph, device_caches(folder, manifest, graph, rewind_tokens=0)).feed([0])
        events = json.loads(Path(graph.session.end_profiling()).read_bytes())
    found: dict[str, Counter[str]] = {}
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith(NODE_RUN):
            told = event["args"]
            found.setdefault(told["provider"], Counter())[told["op_name"]] += 1
    return {provider: dict(counts.most_common()) for provider, counts in found.items()}
