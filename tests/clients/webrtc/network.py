"""A network in user space between this machine (10.98.0.1) and a namespace `narrow` (10.98.0.2), for kernels without netem.

It reads a line of JSON for each change: {"rate": bits a second, "queue": bytes, "delay": seconds, "loss": part, "up": {…}}, the
outer fields for what goes to the namespace, and prints what it did each second. Root only."""

import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF, TUN, WITHOUT_INFO = 0x400454CA, 0x0001, 0x1000
NAMESPACE = "narrow"


def interface(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", name.encode(), TUN | WITHOUT_INFO))
    return fd


def run(*words):
    subprocess.run(words, check=True)


def set_up():
    subprocess.run(["ip", "netns", "del", NAMESPACE], stderr=subprocess.DEVNULL)
    run("ip", "netns", "add", NAMESPACE)
    near, far = interface("narrow0"), interface("narrow1")
    run("ip", "addr", "add", "10.98.0.1/24", "dev", "narrow0")
    run("ip", "link", "set", "narrow0", "mtu", "1400", "txqueuelen", "10000", "up")
    run("ip", "link", "set", "narrow1", "netns", NAMESPACE)
    inside = "ip link set lo up; ip addr add 10.98.0.2/24 dev narrow1; ip link set narrow1 mtu 1400 txqueuelen 10000 up"
    run("ip", "netns", "exec", NAMESPACE, "sh", "-c", inside)
    return near, far


class Direction:
    """What goes one way: queued for its rate, dropped where the queue is full, lost by chance, delayed."""

    def __init__(self, out):
        self.out, self.settings, self.busy = out, {}, 0.0
        self.flying, self.count = [], 0
        self.figures = [0, 0, 0]

    def take(self, packet, now):
        rate, at = self.settings.get("rate"), now
        if random.random() < self.settings.get("loss", 0):
            self.figures[1] += 1
            return
        if rate:
            start = max(self.busy, now)
            if (start - now) * rate / 8 > self.settings.get("queue", 50_000):
                self.figures[2] += 1
                return
            at = self.busy = start + len(packet) * 8 / rate
        self.figures[0] += len(packet)
        self.count += 1
        heapq.heappush(self.flying, (at + self.settings.get("delay", 0), self.count, packet))

    def deliver(self, now):
        while self.flying and self.flying[0][0] <= now:
            try:
                os.write(self.out, heapq.heappop(self.flying)[2])
            except OSError:
                pass

    def wait(self, now):
        return max(0.0, self.flying[0][0] - now) if self.flying else 1.0


def main():
    near, far = set_up()
    ways = {near: Direction(far), far: Direction(near)}
    print("ready", flush=True)
    random.seed(7)
    told = time.monotonic()
    while True:
        now = time.monotonic()
        wait = min([way.wait(now) for way in ways.values()] + [0.05])
        for fd in select.select([near, far, sys.stdin], [], [], wait)[0]:
            if fd is sys.stdin:
                line = sys.stdin.readline()
                if not line:
                    return
                settings = json.loads(line)
                ways[near].settings, ways[far].settings = settings, settings.get("up", {})
                random.seed(settings.get("seed", 7))
                continue
            for _ in range(64):
                try:
                    packet = os.read(fd, 2048)
                except BlockingIOError:
                    break
                ways[fd].take(packet, time.monotonic())
        now = time.monotonic()
        for way in ways.values():
            way.deliver(now)
        if now - told >= 1:
            told = now
            print(json.dumps({"bytes, lost, dropped": [way.figures for way in ways.values()]}), flush=True)
            for way in ways.values():
                way.figures = [0, 0, 0]


if __name__ == "__main__":
    main()
