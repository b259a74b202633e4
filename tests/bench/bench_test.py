"""What the comparison makes of measured times, and the scaling model of kernels whose scaling is known."""

import contextlib
import unittest

import compare
import scaling


def contestant(threads, times=(), absent=None):
    """Rounds of the given (median, minimum) seconds, in turn."""

    @contextlib.contextmanager
    def context():
        if absent:
            raise compare.Absent(absent)
        rounds = iter(times)
        yield lambda seconds: next(rounds)

    return context()


def row(kiln, peers, goal=("faster", 2), unit="ms"):
    return compare.Row(
        "row", "a row", 1, unit, goal, (contestant, kiln), {name: (contestant, peer) for name, peer in peers.items()}
    )


class Comparison(unittest.TestCase):
    def setUp(self):
        self.settle, compare.SETTLE = compare.SETTLE, 0

    def tearDown(self):
        compare.SETTLE = self.settle

    def test_ratio_is_the_median_of_the_rounds_ratios(self):
        # The second round was slow for both: the medians' ratio would be 20 / 12.
        record = compare.measure(
            row(
                dict(times=[(0.010, 0.009), (0.040, 0.012), (0.012, 0.010)]),
                {"peer": dict(times=[(0.020, 0.018), (0.100, 0.050), (0.018, 0.017)])},
            ),
            3,
            1,
        )
        self.assertAlmostEqual(record["ratio"], 2.0)
        self.assertAlmostEqual(record["kiln"]["median"], 12)
        self.assertAlmostEqual(record["kiln"]["minimum"], 9)
        self.assertEqual(record["verdict"], "pass")

    def test_the_best_peer_is_the_one_hardest_to_beat(self):
        record = compare.measure(
            row(
                dict(times=[(0.010, 0.010)]),
                {"slow": dict(times=[(0.050, 0.050)]), "fast": dict(times=[(0.015, 0.015)])},
            ),
            1,
            1,
        )
        self.assertEqual((record["best_peer"], record["verdict"]), ("fast", "short"))

    def test_absent_sides_are_named_and_do_not_fail(self):
        record = compare.measure(row(dict(absent="run ninja"), {"peer": dict(times=[(0.02, 0.02)])}), 1, 1)
        self.assertEqual((record["verdict"], record["notes"]), ("not built", ["Kiln ABSENT: run ninja"]))
        record = compare.measure(row(dict(times=[(0.02, 0.02)]), {"peer": dict(absent="set it up")}), 1, 1)
        self.assertEqual((record["verdict"], record["notes"]), ("no peer", ["peer ABSENT: set it up"]))

    def test_images_a_second_and_percent_are_better_when_larger(self):
        record = compare.measure(row(dict(times=[(0.002, 0.001)]), {}, ("at least", 110), "images/s 64"), 1, 1)
        self.assertAlmostEqual(record["kiln"]["median"], 32000)
        self.assertAlmostEqual(record["kiln"]["minimum"], 64000)
        record = compare.measure(row(dict(times=[(90, 95), (92, 99)]), {}, ("at least", 110), "%"), 2, 1)
        self.assertEqual((record["kiln"]["median"], record["kiln"]["minimum"], record["verdict"]), (91, 99, "short"))


def machine(start=0.0, stream=20.0, streams=20.0):
    """A task costs nothing to hand out."""
    entry = lambda time: {"min_us": time}
    return scaling.Machine(
        {
            ("region/2", 1): entry(10),
            ("region/2", 2): entry(5 + start),
            ("region/64", 1): entry(320),
            ("region/64", 2): entry(160 + start),
            ("memory", 1): {"GB/s": stream},
            ("memory", 2): {"GB/s": streams},
        }
    )


def kernel(one, two, loops, tasks, machine=machine(), bandwidth=1.0):
    return scaling.Kernel(
        "kernel", {"min_us": one, "loops": loops, "tasks": tasks, "GB/s": bandwidth}, {"min_us": two}, machine
    )


class Scaling(unittest.TestCase):
    def test_no_more_cores_work_than_there_are_tasks(self):
        k = kernel(80, 40, 1, 8)
        self.assertEqual([k.time(p) for p in (1, 2, 3, 8, 64)], [80, 40, 30, 10, 10])
        self.assertEqual((k.stops_at(), k.limit()), (8, "has 8 tasks"))

    def test_what_two_threads_do_not_halve_is_serial(self):
        k = kernel(80, 50, 1, 1024)
        self.assertAlmostEqual(k.serial, 20)
        self.assertAlmostEqual(k.time(4), 35)

    def test_loops_cost_and_kernels_without_loops_stay(self):
        self.assertAlmostEqual(kernel(80, 43, 1, 8, machine(start=3)).time(8), 13)
        k = kernel(80, 80, 0, 0)
        self.assertEqual((k.time(64), k.stops_at(), k.limit()), (80, 1, "has no parallel loop"))

    def test_memory_holds_streaming_kernels(self):
        k = kernel(80, 60, 1, 1024, machine(streams=25.0), bandwidth=15.0)
        self.assertGreater(k.time(64), 80 * 20 / 25 * 0.7)
        self.assertLess(kernel(80, 40, 1, 1024, machine(streams=25.0)).time(64), 2)


if __name__ == "__main__":
    unittest.main()
