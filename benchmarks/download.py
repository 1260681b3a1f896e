"""Images per CPU-second of `download` against img2dataset and a bare aiohttp loop, from one server on this machine.

The same 2,000 made JPEGs of about 72 kB, 32 connections, no re-encoding, SHA-256 of each file, one tar at the end; the
kept files must be the same ones, byte for byte, or there is no result. The server runs in its own process and is not
counted; the CPU-seconds are those of the fetching process and its children, from start to end, so the imports count,
too: img2dataset's are long, and with `--images 8000` the ratio is smaller (docs/measurements.md).

Not the same work: ours keeps a journal from which it can go on, writes the tar in candidate order, reads the table of
candidates, asks robots.txt and checks every address; img2dataset writes a JSON beside each image and starts processes
for its shards; the bare loop does nothing but fetch, look at the first and last bytes, and append to a tar.

The fetchers alternate, medians count, after one round that is not counted: it leaves everybody's compiled modules in
one cache of bytecode. `ratio` is ours over img2dataset's images per CPU-second.

    python -m benchmarks.download --peers .venv-peers/bin/python --images 2000 --rounds 3
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks.static_server import static_server
from scripts.config import load_config
from scripts.curate.settings import DownloadSettings, HttpStore, MetadataFile, YfccSource
from scripts.lib.files import table_of, write_table
from scripts.lib.recipe import write_recipe
from scripts.lib.tables import CANDIDATES

CONNECTIONS = 32
BARE = """
import asyncio, hashlib, io, sys, tarfile
import aiohttp

async def main(addresses, target, connections):
    pending = iter(enumerate(addresses))
    with tarfile.open(target, "w") as tar:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            async def work():
                for index, address in pending:
                    async with session.get(address) as response:
                        content = await response.read()
                    assert content[:2] == b"\\xff\\xd8" and content[-2:] == b"\\xff\\xd9"
                    hashlib.sha256(content).hexdigest()
                    entry = tarfile.TarInfo(f"{index}.jpg")
                    entry.size = len(content)
                    tar.addfile(entry, io.BytesIO(content))
            await asyncio.gather(*(work() for _ in range(connections)))

asyncio.run(main(open(sys.argv[1]).read().split(), sys.argv[2] + "/0.tar", int(sys.argv[3])))
"""
PEER = """
import sys
from img2dataset import download

if __name__ == "__main__":
    download(
        url_list=sys.argv[1], input_format="txt", output_folder=sys.argv[2], output_format="webdataset",
        processes_count=1, thread_count=int(sys.argv[3]), number_sample_per_shard=10000, disable_all_reencoding=True,
        extract_exif=False, compute_hash="sha256", enable_wandb=False, timeout=60, retries=4,
        disallowed_header_directives=["noai", "noimageai"], user_agent_token="unpeopled",
    )
"""


def cpu_seconds(command: list[str], environment: dict[str, str]) -> float:
    """Run a command and return the CPU time of it and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(f"{command[:3]} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def contents(folder: Path) -> list[str]:
    """Return the SHA-256 of every JPEG in the tars below a folder, sorted."""
    digests = []
    for path in sorted(folder.rglob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                handle = tar.extractfile(member)
                if handle is not None and member.name.endswith(".jpg"):
                    digests.append(hashlib.sha256(handle.read()).hexdigest())
    return sorted(digests)


def write_candidates(path: Path, addresses: list[str]) -> None:
    """Write the candidate table of one partition."""
    rows = []
    for index, address in enumerate(addresses):
        row: dict[str, Any] = dict.fromkeys(CANDIDATES.names)
        row |= {"image_id": f"{index:032x}", "source": "made", "file": "made-000", "row": index + 1, "part": "0"}
        rows.append(row | {"locator": address, "download_url": address})
    write_table(path, table_of(rows, CANDIDATES))


def recipe() -> str:
    """Return the recipe of the repository's config, with the server on this machine allowed."""
    curate = load_config(yaml.safe_load((Path(__file__).parents[1] / "config.yaml").read_text())).curate
    policy = curate.download.model_copy(
        update={"allow_private_addresses": True, "connections": CONNECTIONS, "connections_per_host": CONNECTIONS}
    )
    store = HttpStore(url="{download_url}")
    source = YfccSource(name="made", kind="yfcc100m", files=(MetadataFile(path="x"),), stores=(store,))
    return write_recipe(DownloadSettings(policy=policy, sources=(source,), user_agent=curate.user_agent))


def main() -> None:
    """Print a line for each round, and the JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--peers", type=Path, default=Path(".venv-peers/bin/python"), help="Python with img2dataset")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if not args.peers.exists():
        sys.exit(f"no Python with the peers at {args.peers}: run `make peers`, or name another with --peers")
    rates: dict[str, list[float]] = {"ours": [], "img2dataset": [], "bare aiohttp": []}
    with tempfile.TemporaryDirectory() as name, static_server(args.images) as addresses:
        folder = Path(name)
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "NO_ALBUMENTATIONS_UPDATE": "1"}
        write_candidates(folder / "candidates.parquet", addresses)
        (folder / "addresses.txt").write_text("\n".join(addresses) + "\n")
        ours = [sys.executable, "-m", "scripts.curate.download", "--recipe", recipe(), "--part", "0", "--candidates"]
        ours += [str(folder / "candidates.parquet"), "--local-stores", ""]
        out = folder / "out"
        flags = [str(folder / "addresses.txt"), str(out), str(CONNECTIONS)]
        commands = {
            "img2dataset": [str(args.peers), "-c", PEER, *flags],
            "ours": [*ours, "--tar", str(out / "0.tar"), "--status", str(out / "0.parquet")],
            "bare aiohttp": [sys.executable, "-c", BARE, *flags],
        }
        for number in range(args.rounds + 1):
            kept = {}
            for fetcher, command in commands.items():
                out.mkdir()
                rates[fetcher].append(args.images / cpu_seconds(command, environment))
                kept[fetcher] = contents(out)
                shutil.rmtree(out)
            assert len(kept["ours"]) == args.images
            assert kept["ours"] == kept["img2dataset"] == kept["bare aiohttp"], "the fetchers kept different files"
            figures = ", ".join(f"{fetcher} {rate[-1]:,.0f}" for fetcher, rate in rates.items())
            print(f"round {number or 'not counted'}: {figures} images per CPU-second", flush=True)
    median = {fetcher: statistics.median(rate[1:]) for fetcher, rate in rates.items()}
    result = {"name": "download", "ratio": round(median["ours"] / median["img2dataset"], 3), "peer": "img2dataset"}
    result["ratio_to_bare_aiohttp"] = round(median["ours"] / median["bare aiohttp"], 3)
    result["images_per_cpu_second"] = {fetcher: round(rate) for fetcher, rate in median.items()}
    print(json.dumps(result | {"images": args.images, "rounds": args.rounds}))


if __name__ == "__main__":
    main()
