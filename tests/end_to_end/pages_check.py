"""The pages in real headless Chromium: digits drawn on the served page, and a run's report opened from disk.

usage: pages_check.py draw <digits_predict> <model>    pages_check.py report <report.html> <accuracy>

With $KILN_SCREENSHOTS, a folder, pictures of what was seen are left there. What is wrong is an AssertionError.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

from playwright.sync_api import sync_playwright

PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}

# One way to write each digit, in a unit square, y downwards; strokes are smooth through their points.
DIGITS = {
    0: [[(0.5, 0.12), (0.3, 0.25), (0.24, 0.5), (0.32, 0.78), (0.5, 0.88), (0.68, 0.76), (0.75, 0.5), (0.68, 0.22), (0.5, 0.12)]],
    1: [[(0.52, 0.12), (0.51, 0.4), (0.5, 0.65), (0.49, 0.88)]],
    2: [[(0.28, 0.3), (0.38, 0.16), (0.56, 0.13), (0.7, 0.27), (0.64, 0.48), (0.45, 0.68), (0.27, 0.86), (0.5, 0.85), (0.76, 0.84)]],
    3: [[(0.3, 0.18), (0.48, 0.12), (0.67, 0.2), (0.66, 0.38), (0.48, 0.47), (0.68, 0.55), (0.74, 0.72), (0.58, 0.87), (0.4, 0.86), (0.27, 0.78)]],
    4: [[(0.36, 0.14), (0.3, 0.36), (0.27, 0.53), (0.5, 0.55), (0.78, 0.52)], [(0.66, 0.22), (0.65, 0.5), (0.63, 0.88)]],
    5: [[(0.34, 0.15), (0.32, 0.3), (0.3, 0.45), (0.5, 0.42), (0.7, 0.55), (0.7, 0.75), (0.5, 0.87), (0.28, 0.82)], [(0.34, 0.15), (0.5, 0.15), (0.72, 0.13)]],
    6: [[(0.62, 0.12), (0.42, 0.28), (0.29, 0.55), (0.3, 0.76), (0.48, 0.88), (0.66, 0.8), (0.7, 0.65), (0.55, 0.55), (0.38, 0.6), (0.3, 0.74)]],
    7: [[(0.25, 0.17), (0.5, 0.16), (0.75, 0.15), (0.62, 0.4), (0.5, 0.65), (0.44, 0.88)]],
    8: [[(0.66, 0.22), (0.5, 0.12), (0.34, 0.22), (0.4, 0.4), (0.6, 0.55), (0.69, 0.74), (0.5, 0.88), (0.32, 0.75), (0.4, 0.56), (0.6, 0.4), (0.68, 0.26)]],
    9: [[(0.68, 0.25), (0.52, 0.13), (0.34, 0.22), (0.33, 0.42), (0.5, 0.5), (0.66, 0.38), (0.69, 0.22), (0.68, 0.5), (0.64, 0.72), (0.58, 0.9)]],
}  # fmt: skip


def way(points, steps=6):
    """The pen's way through the points: a Catmull-Rom spline."""
    for i in range(len(points) - 1):
        p = [points[max(i - 1, 0)], points[i], points[i + 1], points[min(i + 2, len(points) - 1)]]
        for t in (k / steps for k in range(steps)):
            yield tuple(
                0.5
                * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
                for a, b, c, d in zip(*p)
            )
    yield points[-1]


class Tab:
    """A page that must fetch nothing from elsewhere, say nothing on the console and be no wider than the window."""

    def __init__(self, browser, address, viewport, scheme="light", **options):
        self.page = browser.new_context(viewport=viewport, color_scheme=scheme, **options).new_page()
        self.name = f"{viewport['width']}-{scheme}"
        self.troubles, self.requests = [], []
        self.page.on("console", lambda message: self.troubles.append(message.text))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)
        self.address = address

    def answered(self):
        """Waits until the page shows what the server says of its drawing."""
        while self.page.evaluate("asking || news"):
            self.page.wait_for_timeout(5)

    def check(self):
        assert not self.troubles, self.troubles
        elsewhere = [url for url in self.requests if not url.startswith((self.address, "data:"))]
        assert not elsewhere, elsewhere
        widths = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= widths[1], f"{self.name}: {widths[0]} pixels wide in a window of {widths[1]}"

    def picture(self, name, whole=False):
        if folder := os.environ.get("KILN_SCREENSHOTS"):
            self.page.wait_for_timeout(300)  # transitions
            self.page.screenshot(path=pathlib.Path(folder) / f"{name}-{self.name}.png", full_page=whole)


def draw(tab, digit, finger=None):
    """Through input events, by the mouse or, with a DevTools session, a finger. Returns the answers seen meanwhile."""
    box = tab.page.locator("#paper").bounding_box()
    seen = []

    def at(point):
        return box["x"] + point[0] * box["width"], box["y"] + point[1] * box["height"]

    def touch(kind, *points):
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})

    for stroke in DIGITS[digit]:
        points = [at(point) for point in way(stroke)]
        if finger:
            touch("touchStart", points[0])
        else:
            tab.page.mouse.move(*points[0])
            tab.page.mouse.down()
        for point in points[1:]:
            touch("touchMove", point) if finger else tab.page.mouse.move(*point)
            seen.append(tab.page.locator("#bars").inner_html())
        touch("touchEnd") if finger else tab.page.mouse.up()
    tab.answered()
    return seen


def check_digits(tab, finger=None):
    right = []
    for digit in DIGITS:
        tab.page.locator("#clear").evaluate("button => button.click()")
        tab.answered()
        assert tab.page.locator("#answer").inner_text() == "–"
        seen = draw(tab, digit, finger)
        assert len(set(seen)) > 3, "the bars did not move while drawing"
        answer = tab.page.locator("#answer").inner_text()
        assert tab.page.locator("#bars li.first .label").inner_text() == answer
        right.append(answer == str(digit))
        print(f"{tab.name}: drew {digit}, seen as {answer}, {tab.page.locator('#sure').inner_text()}")
        tab.picture(f"draw-{digit}")
    assert sum(right) >= 9, f"{sum(right)} of 10 digits were recognised"


@contextlib.contextmanager
def served(program, model):
    with subprocess.Popen(
        [program, "--model", model, "--serve", "0", "--json"], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            yield json.loads(server.stdout.readline())["url"]
        finally:
            server.send_signal(signal.SIGINT)
            rest = server.stdout.read()
    assert server.returncode == 0, f"the server ended with code {server.returncode}"
    assert json.loads(rest)["requests"] > 0


def check_draw(browser, program, model):
    with served(program, model) as url:
        desktop = Tab(browser, url, DESKTOP)
        check_digits(desktop)
        desktop.page.locator("#undo").click()
        desktop.check()
        phone = Tab(browser, url, PHONE, "dark", has_touch=True, is_mobile=True, device_scale_factor=2)
        check_digits(phone, phone.page.context.new_cdp_session(phone.page))
        heights = phone.page.evaluate("[document.documentElement.scrollHeight, innerHeight]")
        assert heights[0] <= heights[1], f"a phone shows {heights[1]} of the page's {heights[0]} pixels: it scrolls"
        phone.check()
        for viewport, scheme in ((DESKTOP, "dark"), (PHONE, "light")):
            tab = Tab(browser, url, viewport, scheme)
            draw(tab, 8)
            tab.picture("draw")
            tab.check()
        # A page whose server does not answer says so, and goes on when it does.
        page = desktop.page
        page.route("**/predict", lambda route: route.abort())
        page.mouse.move(300, 300)
        page.mouse.down()
        page.mouse.move(320, 320)
        page.mouse.up()
        page.wait_for_selector("#status.trouble")
        page.unroute("**/predict")
        page.wait_for_selector("#status:not(.trouble)")


def check_report(browser, path, accuracy):
    address = pathlib.Path(path).resolve().as_uri()
    for viewport, scheme in ((DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark")):
        tab = Tab(browser, address, viewport, scheme)
        tab.picture("report", whole=True)
        tab.check()
    page = tab.page
    assert page.locator(".tile.first b").inner_text() == accuracy, page.locator(".tile.first b").inner_text()
    table = page.locator("table.matrix").first
    cells = [int(text) for text in table.locator("td:not(.side)").all_text_contents()]
    assert sum(cells) == int(table.get_attribute("data-rows")), cells
    right = sum(cells[:: int(len(cells) ** 0.5) + 1])
    assert f"{100 * right / sum(cells):.2f}%" == accuracy, right
    assert page.locator(".chart").count() >= 3
    assert page.locator(".filters canvas").count() == 32
    panel = page.locator(".pair", has=page.locator("table.matrix")).first
    assert panel.locator(".mistake canvas").count() == min(24, sum(cells) - right)
    assert page.locator(".picture svg").count() == 1
    assert re.search(r"[0-9a-f]{8}", page.locator(".tiles").inner_text())
    print(f"report: accuracy {accuracy}, {sum(cells)} rows")


def main():
    kind, *arguments = sys.argv[1:]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        {"draw": check_draw, "report": check_report}[kind](browser, *arguments)
        browser.close()


if __name__ == "__main__":
    main()
