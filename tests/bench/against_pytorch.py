"""The digit network's training step in Kiln and in PyTorch, side by side: interleaved rounds, median and minimum.

usage: python tests/bench/against_pytorch.py [--threads 1] [--rounds 5] [--kiln build/kiln_bench] [--json FILE]
Needs torch (pip install torch); run it while nothing else works. PyTorch runs f32 in its fastest eager form (channels last,
categorical cross-entropy, normalisation over channels, which is cheaper for it than Kiln's row axis), with glibc told
to keep its pages.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time


def torch_rounds(threads):
    """One line of a median and a minimum (ms) for each line read from standard input."""
    os.sched_setaffinity(0, set(range(threads)))
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    norm = lambda channels: nn.BatchNorm2d(channels, eps=1e-6, momentum=.01)
    net = nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), norm(32), nn.MaxPool2d(2),
                        nn.Conv2d(32, 48, 3, padding=1), nn.ReLU(), norm(48), nn.MaxPool2d(2),
                        nn.Conv2d(48, 64, 2, padding=1), nn.ReLU(), norm(64), nn.MaxPool2d(2),
                        nn.Dropout(.25), nn.Flatten(), nn.Linear(576, 3168), nn.ReLU(), nn.Linear(3168, 10))
    net = net.train().to(memory_format=torch.channels_last)
    x = torch.rand(64, 1, 28, 28).to(memory_format=torch.channels_last)
    y = torch.randint(0, 10, (64,))
    optimizer = torch.optim.RMSprop(net.parameters(), lr=1e-3, alpha=.9, eps=1e-7, foreach=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    for _ in range(20):
        step()
    print("ready", flush=True)
    for _ in sys.stdin:
        times = []
        end = time.perf_counter() + 2
        while time.perf_counter() < end:
            start = time.perf_counter()
            step()
            times.append((time.perf_counter() - start) * 1e3)
        print(statistics.median(times), min(times), flush=True)


def kiln_round(program, threads):
    text = subprocess.run([program, f"--benchmark_filter=^train/threads/{threads}/", "--benchmark_min_time=2",
                           "--benchmark_format=json"], check=True, capture_output=True, text=True).stdout
    result = json.loads(text)["benchmarks"][0]
    return result["real_time"], result["min_ms"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kiln", default="build/kiln_bench")
    parser.add_argument("--json")
    parser.add_argument("--torch-rounds", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.torch_rounds:
        return torch_rounds(arguments.threads)
    environment = dict(os.environ, MALLOC_MMAP_THRESHOLD_="4294967296", MALLOC_TRIM_THRESHOLD_="4294967296",
                       OMP_NUM_THREADS=str(arguments.threads))
    peer = subprocess.Popen([sys.executable, __file__, "--torch-rounds", "--threads", str(arguments.threads)],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    peer.stdout.readline()
    kiln, torch = [], []
    for _ in range(arguments.rounds):
        kiln.append(kiln_round(arguments.kiln, arguments.threads))
        peer.stdin.write("\n")
        peer.stdin.flush()
        torch.append(tuple(map(float, peer.stdout.readline().split())))
    peer.stdin.close()
    rows = {name: dict(median_ms=statistics.median(r[0] for r in rounds), min_ms=min(r[1] for r in rounds))
            for name, rounds in (("kiln", kiln), ("pytorch", torch))}
    ratio = statistics.median(k[0] / t[0] for k, t in zip(kiln, torch))
    print(f"training step, batch 64, f32, {arguments.threads} thread(s), {arguments.rounds} interleaved rounds")
    for name, row in rows.items():
        print(f"  {name:8} median {row['median_ms']:7.2f} ms   min {row['min_ms']:7.2f} ms")
    print(f"  kiln / pytorch: {ratio:.2f}")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(dict(rows, ratio=ratio, threads=arguments.threads), file, indent=1)


if __name__ == "__main__":
    main()
