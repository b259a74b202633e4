"""Kiln beside its best peers, row by row: interleaved rounds, medians of the rounds' ratios, and minima.

usage: python3 tests/bench/compare.py [--rows step,predict-64-2] [--rounds 5] [--seconds 0.7] [--json FILE] [--list]

Kiln is measured by what build/ holds (ninja kiln_bench kiln_bench_graphs digits_train), the peers by the environments
that tests/bench/set_up_peers makes in $KILN_PEERS or .deps/peers. A row whose program or peer is absent says so. Run it
while nothing else works; the first run also fills PyTorch's compile cache, so that the second is the one to quote.

A round runs Kiln, then each peer, on the same processors; who waits sleeps. A peer's ratio is the median over the
rounds of its median over Kiln's, so that a slow moment of the machine touches both. The best peer is the one with the
smallest ratio. Exit codes: 0 done, 1 a measurement failed, 2 usage error.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build"
PEERS = pathlib.Path(os.environ.get("KILN_PEERS", ROOT / ".deps" / "peers"))
ONNX = PEERS / "digits.onnx"
STEP_FLOPS = (
    64 * 29_547_648
)  # of the digit network's step: products and sums of the direct convolutions and dense layers
SETTLE = 0.2  # seconds after a round: pools that spin when idle have gone to sleep

# glibc keeps its pages instead of giving them back to the system in every step; worth a quarter of PyTorch's step.
KEEP_PAGES = {
    "GLIBC_TUNABLES": "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184:"
    "glibc.malloc.top_pad=268435456:glibc.malloc.hugetlb=1"
}


class Absent(Exception):
    """What a measurement needs is not there; the text says what and how to get it."""


def processors(threads):
    return set(sorted(os.sched_getaffinity(0))[:threads])


def start(command, threads, environment=(), **options):
    return subprocess.Popen(
        [str(part) for part in command],
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, processors(threads)),
        env=dict(os.environ, OMP_NUM_THREADS=str(threads), **dict(environment)),
        **options,
    )


def output_of(command, threads, **options):
    with start(command, threads, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as process:
        out, err = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit code {process.returncode}: {err.strip()[-400:]}")
    return out


def built(name, target=None):
    if not (BUILD / name).exists():
        raise Absent(f"{name} is not built: ninja -C build {target or name}")
    return BUILD / name


# --- contestants: context managers that give a function from seconds to (median, minimum) of a round ---


@contextlib.contextmanager
def kiln_bench(
    threads,
    benchmark,
    program="kiln_bench",
    value=lambda result, context: (result["median_us"] / 1e6, result["min_us"] / 1e6),
):
    path = built(program, None if program == "kiln_bench" else "kiln_bench_graphs")

    def measure(seconds):
        result = json.loads(
            output_of(
                [
                    path,
                    f"--benchmark_filter=^{benchmark}/threads:{threads}(/|$)",
                    "--benchmark_format=json",
                    f"--benchmark_min_time={seconds}",
                ],
                threads,
            )
        )
        return value(result["benchmarks"][0], result["context"])

    yield measure


def percent_of_peak(result, context):
    rate = lambda seconds: 100 * STEP_FLOPS / seconds / (float(context["f32_peak_gflops"]) * 1e9)
    return rate(result["median_us"] / 1e6), rate(result["min_us"] / 1e6)


def python_of(environment):
    python = PEERS / environment / "bin" / "python"
    if not python.exists():
        raise Absent(f"no {python}: tests/bench/set_up_peers {environment}")
    return python


def peer_command(environment, work, **arguments):
    if "model" in arguments and not ONNX.exists():
        output_of([python_of("torch"), HERE / "peers.py", "torch_export", json.dumps({"path": str(ONNX)})], 2)
    return [python_of(environment), HERE / "peers.py", work, json.dumps(arguments)]


@contextlib.contextmanager
def peer_loop(threads, environment, work, variables=(), **arguments):
    variables = dict(variables, TORCHINDUCTOR_CACHE_DIR=str(PEERS / "inductor"))
    with start(
        peer_command(environment, work, **arguments),
        threads,
        variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError(
                f"{work} in {PEERS / environment} ended: run its command to see why: "
                + " ".join(map(str, process.args))
            )

        def measure(seconds):
            print(seconds, file=process.stdin, flush=True)
            return tuple(map(float, process.stdout.readline().split()))

        yield measure
        process.stdin.close()


def once(measure):
    """A contestant that is a process of its own each time."""

    @contextlib.contextmanager
    def contestant(threads, *arguments, **options):
        yield lambda seconds: (measure(threads, *arguments, **options),) * 2

    return contestant


def seconds_to_first_line(command, threads):
    begin = time.perf_counter()
    with start(command, threads, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        line = process.stdout.readline()
        seconds = time.perf_counter() - begin
    if line.strip() != "done":
        raise RuntimeError(f"{' '.join(map(str, command))} did not get to its first step")
    return seconds


def peak_memory(command, threads):
    """MiB. Linux counts what the process that started it held, too, if that was more."""
    process = start(command, threads, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit code {process.returncode}")
    return usage.ru_maxrss / 1024


@once
def peer_first_step(threads, environment, work):
    return seconds_to_first_line(peer_command(environment, work), threads)


@once
def peer_memory(threads, environment, work):
    return peak_memory(peer_command(environment, work), threads)


@once
def kiln_first_step(threads):
    return seconds_to_first_line([built("kiln_bench"), "--first-step"], threads)


def training_epoch(threads, folder):
    """Built-in digits, as many as Kaggle's: 33,600 to train on, 8,400 to validate."""
    return [
        built("digits_train"),
        "--digits",
        42000,
        "--epochs",
        1,
        "--threads",
        threads,
        "--json",
        "--run-folder",
        folder + "/run",
    ]


@once
def kiln_epoch(threads):
    with tempfile.TemporaryDirectory() as folder:
        lines = map(json.loads, output_of(training_epoch(threads, folder), threads).splitlines())
        return next(line["seconds"] for line in lines if "epoch" in line)


@once
def kiln_memory(threads):
    with tempfile.TemporaryDirectory() as folder:
        return peak_memory(training_epoch(threads, folder), threads)


@contextlib.contextmanager
def kiln_edit(threads):
    """Another project's graph file, Kiln installed: edit a layer, build, train three steps, predict, exit."""
    cmake, ninja = (shutil.which(tool, path=f"{ROOT}/.deps/bin:{os.environ['PATH']}") for tool in ("cmake", "ninja"))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        built("digits_train")
        output_of([cmake, "--install", BUILD, "--prefix", folder / "kiln"], threads)
        network = (ROOT / "graphs" / "digits.cpp").read_text()
        (folder / "digits.cpp").write_text(network)
        (folder / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.25)\nproject(edit LANGUAGES CXX)\n"
            "find_package(Kiln REQUIRED)\nkiln_add_graph(digits digits.cpp)\n"
        )
        output_of(
            [
                cmake,
                "-G",
                "Ninja",
                f"-DCMAKE_MAKE_PROGRAM={ninja}",
                "-DCMAKE_BUILD_TYPE=Release",
                f"-DCMAKE_PREFIX_PATH={folder / 'kiln'}",
                "-S",
                folder,
                "-B",
                folder / "build",
            ],
            threads,
        )
        output_of([cmake, "--build", folder / "build"], threads)
        units = 3168

        def measure(seconds):
            nonlocal units
            units += 16
            begin = time.perf_counter()
            (folder / "digits.cpp").write_text(network.replace("3168", str(units)))
            output_of([cmake, "--build", folder / "build", "--target", "digits_train"], threads)
            output_of(
                [
                    folder / "build" / "digits_train",
                    "--fast-dev-run",
                    "--quiet",
                    "--digits",
                    640,
                    "--run-folder",
                    folder / f"run-{units}",
                ],
                threads,
            )
            return (time.perf_counter() - begin,) * 2

        yield measure


# --- the rows ---


@dataclasses.dataclass
class Row:
    name: str
    what: str
    threads: int
    unit: str  # "ms", "us", "s", "MiB", "%", or "images/s" with the images of a call after it
    goal: tuple  # ("faster", times), ("at most", the unit's value), ("at least", likewise)
    kiln: tuple  # contestant, arguments
    peers: dict  # name -> (contestant, arguments)
    rounds: int = 100  # at most


def torch_steps(**arguments):
    peer = lambda **more: (
        peer_loop,
        dict(environment="torch", work="torch_step", variables=KEEP_PAGES, **arguments, **more),
    )
    return {"PyTorch": peer(), "PyTorch compiled": peer(compiled=True)}


def predictors(batch, precisions):
    peers = {
        f"OpenVINO {p}": (
            peer_loop,
            dict(environment="rt", work="openvino_predict", model=str(ONNX), batch=batch, precision=p),
        )
        for p in precisions
    }
    if "f32" in precisions:
        peers["ONNX Runtime"] = (
            peer_loop,
            dict(environment="rt", work="onnxruntime_predict", model=str(ONNX), batch=batch),
        )
    return peers


def rows():
    result = []
    for t in (1, 2):
        result.append(
            Row(
                f"step-{t}",
                "training step, batch 64, f32",
                t,
                "ms",
                ("faster", 2),
                (kiln_bench, dict(benchmark="train")),
                torch_steps(),
            )
        )
    for t in (1, 2):
        result.append(
            Row(
                f"mixed-step-{t}",
                "training step, batch 64, mixed precision",
                t,
                "ms",
                ("faster", 2.5),
                (kiln_bench, dict(benchmark="train", program="kiln_bench_mixed")),
                torch_steps(bf16=True),
            )
        )
    result.append(
        Row(
            "peak-1",
            "useful FLOP/s of the f32 step over the f32 peak",
            1,
            "%",
            ("at least", 110),
            (kiln_bench, dict(benchmark="train", value=percent_of_peak)),
            {},
        )
    )
    for batch in (64, 1024):
        for t in (1, 2):
            result.append(
                Row(
                    f"predict-{batch}-{t}",
                    f"prediction, batch {batch}, f32",
                    t,
                    f"images/s {batch}",
                    ("faster", 1.5),
                    (kiln_bench, dict(benchmark=f"predict_rows/{batch}")),
                    predictors(batch, ["f32"]),
                )
            )
            result.append(
                Row(
                    f"mixed-predict-{batch}-{t}",
                    f"prediction, batch {batch}, reduced precision",
                    t,
                    f"images/s {batch}",
                    ("faster", 2),
                    (kiln_bench, dict(benchmark=f"predict_rows/{batch}", program="kiln_bench_mixed")),
                    predictors(batch, ["bf16"]),
                )
            )
    for t in (1, 2):
        result.append(
            Row(
                f"latency-{t}",
                "prediction, 1 image, f32",
                t,
                "us",
                ("at most", 50),
                (kiln_bench, dict(benchmark="predict_rows/1")),
                predictors(1, ["f32"]),
            )
        )
        result.append(
            Row(
                f"mixed-latency-{t}",
                "prediction, 1 image, reduced precision",
                t,
                "us",
                ("at most", 30),
                (kiln_bench, dict(benchmark="predict_rows/1", program="kiln_bench_mixed")),
                predictors(1, ["bf16"]),
            )
        )
    result.append(
        Row(
            "first-step",
            "process start to first finished step",
            2,
            "ms",
            ("at most", 30),
            (kiln_first_step, {}),
            {"PyTorch": (peer_first_step, dict(environment="torch", work="torch_first_step"))},
            rounds=4,
        )
    )
    result.append(
        Row(
            "memory",
            "peak memory of training, 42,000 images",
            2,
            "MiB",
            ("at most", 200),
            (kiln_memory, {}),
            {
                "PyTorch": (peer_memory, dict(environment="torch", work="torch_memory")),
                "JAX": (peer_memory, dict(environment="jax", work="jax_memory")),
            },
            rounds=1,
        )
    )
    result.append(
        Row(
            "epoch",
            "epoch of 33,600 and validation on 8,400",
            2,
            "s",
            ("faster", 2),
            (kiln_epoch, {}),
            {"PyTorch compiled": (peer_loop, dict(environment="torch", work="torch_epoch", variables=KEEP_PAGES))},
            rounds=1,
        )
    )
    result.append(
        Row(
            "edit",
            "edit of the graph to the first step",
            2,
            "s",
            ("at most", 10),
            (kiln_edit, {}),
            {"JAX (start, compile, step)": (peer_first_step, dict(environment="jax", work="jax_first_step"))},
            rounds=2,
        )
    )
    for name, network, batch, what in (
        ("digits_32", "digits", 32, "digits, batch 32"),
        ("digits_256", "digits", 256, "digits, batch 256"),
        ("digits_deep", "digits_deep", 64, "20 layers, 28x28x1, batch 64"),
        ("cifar", "cifar", 64, "6 convolutions, 32x32x3, batch 64"),
        ("separable", "separable", 64, "depthwise-separable, 32x32x3, batch 64"),
    ):
        for t in (1, 2):
            result.append(
                Row(
                    f"{name}-{t}",
                    f"training step, {what}",
                    t,
                    "ms",
                    ("faster", 2),
                    (kiln_bench, dict(benchmark="train", program=f"kiln_bench_{name}")),
                    torch_steps(network=network, batch=batch),
                )
            )
    return result


def in_unit(value, unit):
    """A raw value (seconds, MiB or percent) as the row shows it."""
    name, *images = unit.split()
    if name == "images/s":
        return int(images[0]) / value
    return value * {"ms": 1e3, "us": 1e6}.get(name, 1)


def measure(row, rounds, seconds):
    """The row's record: figures in its unit, ratios as peer's time over Kiln's."""
    record = dict(
        row=row.name,
        what=row.what,
        threads=row.threads,
        unit=row.unit.split()[0],
        goal=" ".join(map(str, row.goal)),
        notes=[],
    )
    times = {}
    with contextlib.ExitStack() as stack:
        contestants = {}
        for name, (contestant, arguments) in {"Kiln": row.kiln, **row.peers}.items():
            try:
                contestants[name] = stack.enter_context(contestant(row.threads, **arguments))
            except Absent as absent:
                record["notes"].append(f"{name} ABSENT: {absent}")
        for _ in range(min(rounds, row.rounds)):
            for name, contestant in list(contestants.items()):
                try:
                    times.setdefault(name, []).append(contestant(seconds))
                except Absent as absent:
                    record["notes"].append(f"{name} ABSENT: {absent}")
                    del contestants[name]
                time.sleep(SETTLE)
    record["rounds"] = len(next(iter(times.values()), []))
    summary = lambda name: dict(
        median=in_unit(statistics.median(m for m, _ in times[name]), row.unit),
        minimum=in_unit(
            min(m for _, m in times[name]) if row.unit != "%" else max(m for _, m in times[name]), row.unit
        ),
    )
    record["peers"] = {}
    for name in times:
        if name == "Kiln":
            record["kiln"] = summary(name)
            continue
        record["peers"][name] = summary(name)
        if "Kiln" in times:
            record["peers"][name]["ratio"] = statistics.median(
                p / k for (p, _), (k, _) in zip(times[name], times["Kiln"])
            )
    if record["peers"]:
        key = (
            (lambda p: p["ratio"])
            if "Kiln" in times
            else (lambda p: -p["median"] if row.unit.startswith("images") else p["median"])
        )
        record["best_peer"] = min(record["peers"], key=lambda name: key(record["peers"][name]))
        record["ratio"] = record["peers"][record["best_peer"]].get("ratio")
    kind, wanted = row.goal
    if "Kiln" not in times:
        record["verdict"] = "not built"
    elif kind == "faster":
        record["verdict"] = "no peer" if not record["peers"] else "pass" if record["ratio"] >= wanted else "short"
    else:
        value = record["kiln"]["median"]
        record["verdict"] = "pass" if (value <= wanted if kind == "at most" else value >= wanted) else "short"
    return record


def figure(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


HEADER = ("row", "threads", "unit", "Kiln", "best", "best peer", "peer", "best", "ratio", "goal", "")
WIDTHS = (58, 7, 8, 8, 8, 26, 8, 8, 5, 12, 9)


def line(cells):
    return "  ".join(
        f"{cell:<{w}}" if i in (0, 5, 9, 10) else f"{cell:>{w}}" for i, (cell, w) in enumerate(zip(cells, WIDTHS))
    ).rstrip()


def text_of(record):
    kiln, name = record.get("kiln"), record.get("best_peer")
    peer = record["peers"].get(name)
    pair = lambda entry: [figure(entry["median"]), figure(entry["minimum"])] if entry else ["-", "-"]
    ratio = f"{record['ratio']:.2f}" if record.get("ratio") else "-"
    lines = [
        line(
            [
                f"{record['row']}: {record['what']}"[:58],
                record["threads"],
                record["unit"],
                *pair(kiln),
                name or "-",
                *pair(peer),
                ratio,
                record["goal"],
                record["verdict"],
            ]
        )
    ]
    return "\n".join(lines + [f"  !! {note}" for note in record["notes"]])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", help="names or beginnings of names, by comma (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="of each row; long rows take fewer (5)")
    parser.add_argument("--seconds", type=float, default=0.7, help="of each contestant in a round (0.7)")
    parser.add_argument("--json", metavar="FILE", help="write the rows' records here")
    parser.add_argument("--list", action="store_true", help="print the rows' names")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or arguments.seconds <= 0:
        parser.error("--rounds and --seconds must be positive")
    wanted = arguments.rows.split(",") if arguments.rows else [""]
    for name in wanted:
        if not any(row.name.startswith(name) for row in rows()):
            parser.error(f"--rows {name}: there is no such row; --list names them")
    chosen = [row for row in rows() if any(row.name.startswith(name) for name in wanted)]
    if arguments.list:
        print("\n".join(f"{row.name:20} {row.what}, {row.threads} thread(s)" for row in chosen))
        return 0
    load = os.getloadavg()[0]
    if load > os.cpu_count() / 2:
        print(f"!! load average {load:.1f}: something else works here; ratios may hold, times do not", flush=True)
    print(line(HEADER), flush=True)
    records, failed = [], False
    for row in chosen:
        try:
            records.append(measure(row, arguments.rounds, arguments.seconds))
            print(text_of(records[-1]), flush=True)
        except (RuntimeError, OSError, ValueError) as error:
            failed = True
            print(f"{row.name}: FAILED: {error}", file=sys.stderr, flush=True)
    if arguments.json:
        temporary = pathlib.Path(arguments.json + ".tmp")
        temporary.write_text(json.dumps(dict(load_before=load, rows=records), indent=1) + "\n")
        temporary.replace(arguments.json)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
