#!/usr/bin/env python3
"""Tries the server-side SDKs against a server: SERVER=target/debug/roomservice sdk/server/test.py [LANGUAGE…]

One server is started on free ports, each language's package is made of what it says of itself, and the test of each runs
where its program is installed. Beside the server stand a receiver of webhooks, and a door to the server at which the first
request is refused with 503 and the second one cut off.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).resolve().parent
KEY = "an-operator-key-of-the-test"
APP, SECRET_KEY = 1400000000, "0123456789abcdef" * 4
WEBHOOK_SECRET = "a-secret-that-both-sides-know"
# A finished recording: the box that has its duration, a second, and whatever follows.
RECORDING, BYTES = "1000_tea_ada.1790000000000.mp4", b"\0\0\0\x10mehd\0\0\0\0\0\0\x03\xe8" + bytes(range(256)) * 64
# Seconds that a command of a test may take: compilers are slow when the machine is busy.
BOUND = int(os.environ.get("BOUND", "300"))

# What a test needs, and its commands within the package.
TESTS = {
    "node": ("node", [["node", "--test", "test/"]]),
    "python": ("python3", [[sys.executable, "-W", "error", "-m", "unittest", "discover", "-s", "test", "-t", "."]]),
    "go": ("go", [["sh", "-c", 'test -z "$(gofmt -l . | tee /dev/stderr)"'], ["go", "vet", "./..."], ["go", "test", "-count=1", "./..."]]),
    "java": ("javac", [["javac", "-Xlint:all", "-Xdoclint:all,-missing", "-Werror", "-d", "classes", "@sources"],
                       ["java", "-ea", "-cp", "classes", "roomservice.server.SdkTest"]]),
    "php": ("php", [["php", "-d", "error_reporting=-1", "test/test.php"]]),
}


class Hooks(BaseHTTPRequestHandler):
    """Takes what the server posts."""

    came = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.came.append((self.headers["X-RoomService-Signature"], body.decode()))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class Door(BaseHTTPRequestHandler):
    """Refuses the first request of each kind, cuts the second off, and hands the others on. An Idempotency-Key may say how it
    is refused: `wait-…` asks for an hour, `running-…` is still being done."""

    server_url, seen, lock = "", {}, threading.Lock()

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.lock:
            kind = (self.command, self.path, self.headers.get("Idempotency-Key"), body)
            before = self.seen[kind] = self.seen.get(kind, 0) + 1
        if before == 1:
            key = self.headers.get("Idempotency-Key") or ""
            running = key.startswith("running-")
            problem = {"status": 409 if running else 503, "code": "running" if running else "unavailable", "detail": "not now"}
            wait = {} if running else {"Retry-After": "3600" if key.startswith("wait-") else "0"}
            self.answer(problem["status"], json.dumps(problem).encode(), wait)
        elif before == 2:
            # Nothing is answered at all.
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection", "content-length")}
            request = urllib.request.Request(self.server_url + self.path, body or None, headers, method=self.command)
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    self.answer(answer.status, answer.read(), {})
            except urllib.error.HTTPError as e:
                with e:
                    self.answer(e.code, e.read(), {})

    do_GET = do_POST = do_PUT = do_DELETE = serve

    def answer(self, status, body, headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def listen(handler):
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(what, wanted, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = wanted()
        if found:
            return found
        time.sleep(0.1)
    raise SystemExit(f"{what} within {seconds} s")


def is_ready(url):
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def start(program, directory, hooks):
    """A server in development mode, with keys that the tests know."""
    url = f"http://127.0.0.1:{free_port(socket.SOCK_STREAM)}"
    (directory / "roomservice.toml").write_text(f"""
data_dir = "{directory / 'data'}"
[http]
listen = "{url.removeprefix('http://')}"
[rtmp]
listen = "127.0.0.1:{free_port(socket.SOCK_STREAM)}"
[webrtc]
listen = "127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
[record]
enabled = true
[im]
sdkAppID = {APP}
secretKey = "{SECRET_KEY}"
[webhooks]
urls = ["{hooks}/hooks"]
secret = "{WEBHOOK_SECRET}"
[operator]
keys = ["{KEY}"]
""")
    recordings = directory / "data" / "recordings"
    recordings.mkdir(parents=True)
    (recordings / RECORDING).write_bytes(BYTES)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ROOMSERVICE_")} | {"ROOMSERVICE_DRAIN_TIMEOUT": "1"}
    log = open(directory / "server.log", "wb")
    process = subprocess.Popen([program, "--config", directory / "roomservice.toml"], cwd=directory, env=environment,
                               stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    return url, process


def posted(url):
    """A webhook that the server has posted: its signature and body."""
    request = urllib.request.Request(f"{url}/api/v1/rooms", json.dumps({"kind": "live", "roomID": "tea"}).encode(),
                                     {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30):
        pass
    return until("no webhook came", lambda: next((c for c in Hooks.came if json.loads(c[1])["event"] == "room_created"), None))


def refuses(document, directory):
    """No client is made of a document that cannot be understood."""
    broken = json.loads(document.read_text())
    broken["paths"]["/stats"]["get"]["operationId"] = "listRooms"
    (directory / "broken.json").write_text(json.dumps(broken))
    made = subprocess.run([sys.executable, HERE / "generate.py", directory / "broken.json", "go", directory / "broken"],
                          timeout=60, capture_output=True, text=True)
    if made.returncode == 0 or "the same operationId" not in made.stderr or (directory / "broken").exists():
        sys.exit(f"a document with two operations of one name was taken: {made.stderr}")


def run(language, package, environment):
    """Runs the commands of a language's test; whether they go well."""
    for command in TESTS[language][1]:
        if "@sources" in command:
            (package / "sources").write_text("\n".join(str(p) for p in sorted((package / "src").rglob("*.java"))))
        try:
            done = subprocess.run(command, cwd=package, env=environment, stdin=subprocess.DEVNULL, timeout=BOUND,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        except subprocess.TimeoutExpired as e:
            print(e.stdout, f"{language}: {command[0]} does not end within {BOUND} s", sep="\n")
            return False
        if done.returncode != 0:
            print(done.stdout)
            return False
    return True


def main():
    program = os.environ.get("SERVER")
    if not program or not Path(program).exists():
        sys.exit("SERVER must name the program: SERVER=target/debug/roomservice sdk/server/test.py")
    program = Path(program).resolve()
    wanted = sys.argv[1:] or list(TESTS)
    directory = Path(tempfile.mkdtemp(prefix="roomservice-sdks-"))
    process, wrong = None, []
    try:
        document = directory / "openapi.json"
        document.write_bytes(subprocess.run([program, "openapi"], check=True, capture_output=True, timeout=60).stdout)
        refuses(document, directory)
        url, process = start(program, directory, listen(Hooks))
        until(f"the server is not ready: {(directory / 'server.log').read_text()}", lambda: is_ready(url))
        Door.server_url = url
        signature, body = posted(url)
        environment = os.environ | {
            "SERVER_URL": url, "DOOR_URL": listen(Door), "OPERATOR_KEY": KEY, "SDK_APP_ID": str(APP),
            "SECRET_KEY": SECRET_KEY, "WEBHOOK_SECRET": WEBHOOK_SECRET, "WEBHOOK_SIGNATURE": signature,
            "WEBHOOK_BODY": body, "RECORDING": RECORDING, "RECORDING_SIZE": str(len(BYTES)),
            # No test fetches anything.
            "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local", "PYTHONDONTWRITEBYTECODE": "1",
        }
        for language in wanted:
            package, began = directory / language, time.monotonic()
            made = subprocess.run([sys.executable, HERE / "generate.py", document, language, package], timeout=60)
            needs = TESTS[language][0]
            if made.returncode == 0 and not shutil.which(needs):
                print(f"{language}: made; not run, because there is no {needs}", flush=True)
                continue
            well = made.returncode == 0 and run(language, package, environment)
            print(f"{language}: {'well' if well else 'WRONG'}, {time.monotonic() - began:.0f} s", flush=True)
            wrong += [] if well else [language]
    finally:
        if process:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(directory, ignore_errors=True)
    if wrong:
        sys.exit(f"wrong: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
