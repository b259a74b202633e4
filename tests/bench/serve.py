"""How many drawings a served page's predictor answers a second, and how soon.

usage: python3 tests/bench/serve.py --model runs/digits-1/model.kiln [--clients 1,8,64,1000] [--seconds 5] [--json FILE]
                                    [--program build/digits_predict] [--threads 1]

Starts the server and, for each number of clients, opens that many connections, over which each asks again as soon as it
is answered, like a page on which somebody draws without a pause. Latencies are those of all requests after the first
second. This program shares the machine's processors with the server: with many clients it is the one that is measured,
and more than about 10,000 requests a second are beyond it. Exit codes: 0 done, 1 a request was not answered with 200.
"""

import argparse
import asyncio
import json
import pathlib
import signal
import subprocess
import sys
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BODY = json.dumps({"strokes": [[0.3, 0.2, 0.5, 0.18, 0.7, 0.2, 0.6, 0.4, 0.5, 0.6, 0.45, 0.85], [0.4, 0.5, 0.65, 0.5]]})
REQUEST = f"POST /predict HTTP/1.1\r\nHost: kiln\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}".encode()
WARM_UP = 1.0  # seconds


async def client(url, start, end, latencies):
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    while (sent := time.perf_counter()) < end:
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(head.split(b"\r\n")[0].decode())
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        done = time.perf_counter()
        if start <= sent and done <= end:
            latencies.append(done - sent)
    writer.close()


async def measure(url, clients, seconds):
    latencies = []
    start = time.perf_counter() + WARM_UP
    await asyncio.gather(*(client(url, start, start + seconds, latencies) for _ in range(clients)))
    latencies.sort()
    at = lambda part: 1e3 * latencies[min(len(latencies) - 1, int(part * len(latencies)))]
    return {
        "clients": clients,
        "requests_per_second": len(latencies) / seconds,
        "p50_ms": at(0.5),
        "p99_ms": at(0.99),
        "max_ms": 1e3 * latencies[-1],
    }


def resident_mib(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--program", default=ROOT / "build" / "digits_predict")
    parser.add_argument("--clients", default="1,8,64,1000")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--threads", default="1")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    command = [arguments.program, "--model", arguments.model, "--serve", "0", "--json", "--threads", arguments.threads]
    results = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = urllib.parse.urlparse(json.loads(server.stdout.readline())["url"])
            print(f"{'clients':>8} {'requests/s':>11} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8} {'server MiB':>11}")
            for clients in map(int, arguments.clients.split(",")):
                row = asyncio.run(measure(url, clients, arguments.seconds))
                row["server_mib"] = resident_mib(server)
                results.append(row)
                print(
                    f"{clients:8} {row['requests_per_second']:11.0f} {row['p50_ms']:8.2f} {row['p99_ms']:8.2f} "
                    f"{row['max_ms']:8.2f} {row['server_mib']:11.1f}",
                    flush=True,
                )
        except (RuntimeError, OSError, EOFError) as error:
            print(f"serve.py: error: {error}", file=sys.stderr)
            return 1
        finally:
            server.send_signal(signal.SIGINT)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
