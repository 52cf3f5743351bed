"""What the Python clients share: lines of JSON for matrix.py, the POST of an offer, and the frequency of a tone."""

import http.client
import json
import sys
import time
import urllib.parse

TONE = 440
WIDTH, HEIGHT, RATE = 640, 360, 25


def say(**fields):
    """Tells matrix.py; later lines add to earlier ones."""
    print(json.dumps(fields), flush=True)


def arguments():
    """Role, codec, URL and seconds, then words that vary the client."""
    role, codec, url, seconds = sys.argv[1:5]
    return role, codec, url, float(seconds), sys.argv[5:]


def request(method, url, body=None, headers=None):
    """Status, headers and text of one answer; no redirect is followed."""
    at = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=15)
    connection.request(method, at.path + ("?" + at.query if at.query else ""), body=body, headers=headers or {})
    answer = connection.getresponse()
    text = answer.read().decode("utf8", "replace")
    connection.close()
    return answer.status, answer.headers, text


def post(url, offer):
    """Sends an offer and tells both sides of it. None instead of an answer that is no 201."""
    say(offer=offer)
    clock = Watch()
    status, headers, text = request("POST", url, offer, {"Content-Type": "application/sdp"})
    say(status=status, **({"answer": text, "answered_ms": clock.ms()} if status == 201 else {"body": text}))
    if status != 201:
        return None, clock, None
    return text, clock, urllib.parse.urljoin(url, headers["Location"])


class Watch:
    """Milliseconds since an offer was sent."""

    def __init__(self):
        self.start = time.monotonic()

    def ms(self):
        return round((time.monotonic() - self.start) * 1000)


class Seen:
    """Counts what a player decodes."""

    def __init__(self, clock):
        self.clock = clock
        self.times = []
        self.size = None
        self.wave = []
        self.heard = 0

    def picture(self, width, height):
        if not self.times:
            say(first_ms=self.clock.ms())
        self.times.append(time.monotonic())
        self.size = f"{width}x{height}"

    def sound(self, samples):
        """Mono samples of 48 kHz from -1 to 1."""
        self.heard += len(samples)
        self.wave = (self.wave + list(samples))[-24_000:]

    def tell(self):
        fps, surplus = rates(self.times)
        say(
            frames=len(self.times),
            fps=fps,
            surplus=surplus,
            size=self.size,
            samples=self.heard,
            hz=pitch(self.wave),
        )


def rates(times):
    """Pictures a second in the second half, and how many more than that came in the first: what was sent at once."""
    if len(times) < 3:
        return 0, 0
    middle = (times[0] + times[-1]) / 2
    late = [t for t in times if t >= middle]
    fps = (len(late) - 1) / max(late[-1] - late[0], 0.001)
    return round(fps, 1), max(0, round(len(times) - 1 - fps * (times[-1] - times[0])))


def pitch(wave, rate=48_000):
    """The frequency of a tone by its rising crossings of zero; None for silence."""
    if len(wave) < rate // 10 or max(map(abs, wave)) < 0.01:
        return None
    rises = [i for i in range(1, len(wave)) if wave[i - 1] < 0 <= wave[i]]
    if len(rises) < 3:
        return None
    return round((len(rises) - 1) * rate / (rises[-1] - rises[0]))
