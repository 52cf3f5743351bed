"""A call of the demo: two tabs of Firefox and one of Chromium, of which each must see and hear both others in VP8.

`call(url, node, environment)` gives a row for each of the three; `demo.js` is what runs inside the pages."""

import json
import pathlib
import select
import subprocess
import tempfile
import time

import firefox

HERE = pathlib.Path(__file__).resolve().parent
ROOM = "Three"
# Of about 25 a second.
PICTURES = 25
# A player that connects just while its stream is published anew, in VP8, is let go before it knows that it is connected: it
# tries again after 12 s (the SDK's CONNECT_WITHIN).
LONGEST = 40


class Tab:
    """A tab of Firefox with the demo in it."""

    def __init__(self, browser, url, name):
        self.browser, self.name = browser, name
        self.handle = browser.call("WebDriver:NewWindow", type="tab", focus=True)["handle"]
        self.turn()
        browser.call("WebDriver:Navigate", url=url)
        browser.script(HERE.joinpath("demo.js").read_text())

    def turn(self):
        self.browser.call("WebDriver:SwitchToWindow", handle=self.handle)

    def go(self, how):
        self.turn()
        self.browser.script(f"return window.demo.{how}(...arguments);", ROOM)

    def seen(self):
        self.turn()
        return self.browser.script("return window.demo.seen();")


class Chromium:
    def __init__(self, url, node, environment):
        self.name = "Chromium"
        self.child = subprocess.Popen(
            [node, str(HERE / "demo.mjs"), url, ROOM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.version = self.line(40)["version"]

    def line(self, within):
        if not select.select([self.child.stdout], [], [], within)[0]:
            raise SystemExit("Chromium says nothing")
        return json.loads(self.child.stdout.readline() or '{"version": "ended"}')

    def seen(self):
        self.child.stdin.write("\n")
        self.child.stdin.flush()
        return self.line(10)

    def stop(self):
        self.child.stdin.close()
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            self.child.kill()


def good(seen):
    """Whether both others are seen and heard, and in VP8."""
    whole = [row for row in seen["rows"] if row["codec"] == "video/VP8" and row["frames"] >= PICTURES and row["energy"] > 0]
    return len(whole) >= 2


def watch(people):
    """Asks each until it sees and hears both others, or the time is over."""
    rows, end = {}, time.monotonic() + LONGEST
    while len(rows) < len(people) and time.monotonic() < end:
        for person in people:
            if person.name not in rows and good(seen := person.seen()):
                rows[person.name] = {**seen, "good": True}
        time.sleep(0.1)
    return {person.name: rows.get(person.name) or {**person.seen(), "good": False} for person in people}


def call(url, node, environment):
    with tempfile.TemporaryDirectory(prefix="firefox-", ignore_cleanup_errors=True) as home:
        child, port = firefox.start([], home)
        third = None
        try:
            browser = firefox.Marionette(port)
            able = browser.call("WebDriver:NewSession", capabilities={"alwaysMatch": {}})["capabilities"]
            people = []
            for how in ("create", "enter"):
                people.append(Tab(browser, url, f"Firefox {able['browserVersion']}, tab {len(people) + 1}"))
                people[-1].go(how)
            third = Chromium(url, node, environment)
            return watch([*people, third])
        finally:
            if third:
                third.stop()
            child.kill()
            child.wait()
