"""How the training step would scale to more cores than this machine has, from what its kernels do on one and two.

usage: python3 tests/bench/scaling.py [--program build/kiln_bench] [--cores 2,16,64] [--json FILE]

Measured, on this machine, all by kiln_bench: each kernel's time on 1 and 2 threads, the parallel loops it runs and the
tasks in them (counted on their way to the runtime), what a parallel loop of 2 and of 64 tasks costs on 2 threads beyond
half of its time on 1, how many bytes a second one and two threads move through memory, and the step itself. Times are
minima over the calls, which a neighbour on the same machine disturbs least. A kernel's time on p cores is then

    serial + max(parallel * ceil(n / p) / n, parallel * B(1) / B(p) if bound by memory, n * ticket) + loops * start

  n         tasks of a loop (the mean where a kernel has several): of equal length, dealt out one at a time
  serial    of the time on 1 thread, what the time on 2 shows not to be parallel; 0 when noise says less
  ticket    handing out one task, one after another whatever p: (cost of 64 - cost of 2) / 62
  start     beginning and ending a loop, independent of p: workers spin on one word
  bound by memory: the kernel moves at least half as many bytes a second as one core can stream
  B(p)      = B(1) * p / (1 + s * (p - 1)), s such that B(2) is the measured one

Assumptions that make it optimistic: cores keep their clock and have caches of their own as here, no second socket,
nobody else works, and a kernel finds its data where the kernel before left it (each is measured by itself, its data in
its own cores' caches). One that makes it pessimistic: two cores of a virtual machine may saturate memory that 64 real
cores would not. Where two threads are not nearly twice as fast as one over independent work, something else runs, and
there is no prediction. The prediction for 2 cores is compared with the measured step; the difference is what the model
does not know.
"""

import argparse
import json
import math
import pathlib
import subprocess
import sys

BENCH = pathlib.Path(__file__).resolve().parent.parent.parent / "build" / "kiln_bench"
SHARE = 0.01  # of the step on one core: smaller kernels are not blamed


def measured(program, pattern):
    """Benchmarks by (name, threads)."""
    out = subprocess.run(
        [program, f"--benchmark_filter={pattern}", "--benchmark_format=json"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    result = {}
    for entry in json.loads(out)["benchmarks"]:
        name, _, rest = entry["name"].partition("/threads:")
        result[name, int(rest.split("/")[0])] = entry
    return result


class Machine:
    def __init__(self, entries):
        cost = lambda tasks: entries[f"region/{tasks}", 2]["min_us"] - entries[f"region/{tasks}", 1]["min_us"] / 2
        self.ticket = max(0.0, (cost(64) - cost(2)) / 62)
        self.start = max(0.0, cost(2) - 2 * self.ticket)
        self.speedup = entries["region/64", 1]["min_us"] / entries["region/64", 2]["min_us"]
        self.stream = entries["memory", 1]["GB/s"]
        self.saturation = max(0.0, 2 * self.stream / entries["memory", 2]["GB/s"] - 1)

    def bandwidth(self, cores):
        """Over one core's."""
        return cores / (1 + self.saturation * (cores - 1))


class Kernel:
    """One kernel's times in microseconds."""

    def __init__(self, name, one, two, machine):
        self.name, self.machine = name, machine
        self.one, self.two = one["min_us"], two["min_us"]
        self.loops = one["loops"]
        self.tasks = max(1.0, one["tasks"] / max(1, self.loops))
        self.memory_bound = one["GB/s"] >= machine.stream / 2
        # two = serial + parallel * share + start, one = serial + parallel
        share = math.ceil(self.tasks / 2) / self.tasks
        parallel = (self.one - self.two + self.loops * machine.start) / (1 - share) if share < 1 else 0
        self.parallel = min(self.one, max(0.0, parallel)) if self.loops else 0
        self.serial = self.one - self.parallel

    def time(self, cores):
        if cores == 1 or self.loops == 0:
            return self.one
        parallel = self.parallel * math.ceil(self.tasks / cores) / self.tasks
        if self.memory_bound:
            parallel = max(parallel, self.parallel / self.machine.bandwidth(cores))
        return (
            self.serial + max(parallel, self.loops * self.tasks * self.machine.ticket) + self.loops * self.machine.start
        )

    def stops_at(self):
        """The number of cores, a power of two, beyond which twice as many bring less than a tenth."""
        cores = 1
        while cores < 1024 and self.time(cores) >= 1.1 * self.time(2 * cores):
            cores *= 2
        return cores

    def limit(self):
        """What holds it at that point."""
        cores = 2 * self.stops_at()
        if self.loops == 0:
            return "has no parallel loop"
        if self.serial > self.time(cores) / 2:
            return "serial part"
        if (
            self.memory_bound
            and self.parallel / self.machine.bandwidth(cores)
            >= self.parallel * math.ceil(self.tasks / cores) / self.tasks
        ):
            return "memory"
        if self.loops * (self.machine.start + self.tasks * self.machine.ticket) > self.time(cores) / 2:
            return "cost of its parallel loops"
        return f"has {self.tasks:.0f} tasks"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=pathlib.Path, default=BENCH, help="kiln_bench, or that of another graph")
    parser.add_argument("--cores", default="2,16,64", type=lambda text: [int(part) for part in text.split(",")])
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    if not arguments.program.exists():
        parser.error(f"no {arguments.program}: ninja -C build kiln_bench")
    entries = measured(arguments.program.resolve(), "^(kernel/|region/|memory/|train/)")
    if ("train", 2) not in entries:
        print("scaling.py: error: this machine has one core; the model needs times on two", file=sys.stderr)
        return 1
    machine = Machine(entries)
    if machine.speedup < 1.6:
        print(
            f"scaling.py: error: two threads are {machine.speedup:.2f} times as fast as one over independent work: "
            "something else has a core; end it and try again",
            file=sys.stderr,
        )
        return 1
    kernels = [
        Kernel(name.removeprefix("kernel/"), entry, entries[name, 2], machine)
        for (name, threads), entry in entries.items()
        if name.startswith("kernel/") and threads == 1
    ]
    total = lambda cores: sum(kernel.time(cores) for kernel in kernels)

    print(
        f"a parallel loop costs {machine.start:.2f} us and {machine.ticket * 1e3:.0f} ns a task; "
        f"memory {machine.stream:.1f} GB/s on one core, {machine.bandwidth(2):.2f} times that on two"
    )
    print(
        f"{'kernel':44}{'1':>9}{'2':>9}"
        + "".join(f"{f'~{p}':>9}" for p in arguments.cores)
        + f"{'loops':>7}{'tasks':>7}{'stops at':>10}   us"
    )
    for kernel in sorted(kernels, key=lambda k: -k.time(max(arguments.cores)))[:20]:
        print(
            f"{kernel.name[:43]:44}{kernel.one:9.1f}{kernel.two:9.1f}"
            + "".join(f"{kernel.time(p):9.1f}" for p in arguments.cores)
            + f"{kernel.loops:7.0f}{kernel.tasks:7.0f}{kernel.stops_at():10}   {kernel.limit()}"
        )
    one, two = (entries["train", t]["min_us"] for t in (1, 2))
    print(f"step on 1 core: {one / 1e3:.2f} ms measured, {total(1) / 1e3:.2f} as the sum of its kernels")
    predictions = {}
    for cores in arguments.cores:
        predictions[cores] = total(cores) * one / total(1)  # what lies between the kernels scales with them
        note = f", measured {two / 1e3:.2f} ({100 * (predictions[cores] / two - 1):+.0f}%)" if cores == 2 else ""
        print(
            f"step on {cores} cores: {predictions[cores] / 1e3:.2f} ms predicted, "
            f"{one / predictions[cores]:.1f} times as fast as on one{note}"
        )
    large = [kernel for kernel in kernels if kernel.one >= SHARE * total(1)]
    first = min(large, key=lambda k: (k.stops_at(), -k.one))
    print(
        f"the first to stop scaling: {first.name}, at {first.stops_at()} core(s): {first.limit()} "
        f"({100 * first.one / total(1):.0f}% of the step on one core)"
    )
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(
                dict(
                    step_us={"1": one, "2": two},
                    predicted_us=predictions,
                    first=first.name,
                    kernels=[
                        dict(
                            name=k.name,
                            one=k.one,
                            two=k.two,
                            loops=k.loops,
                            tasks=k.tasks,
                            serial=k.serial,
                            memory_bound=k.memory_bound,
                            stops_at=k.stops_at(),
                        )
                        for k in kernels
                    ],
                ),
                file,
                indent=1,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
