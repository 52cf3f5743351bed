#!/usr/bin/env python3
"""Tries the server-side SDKs against a server: SERVER=target/debug/roomservice sdk/server/test.py [LANGUAGE…]

One server is started on free ports, each language's package is made of what it says of itself as a release has it, and the test of
each runs where its program is installed, then the code of its README. Beside the server stand a receiver of webhooks, and a door to the
server at which the first request is refused with 503, 502 or 504 and the second one cut off.
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
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# Nothing is left in the repository.
sys.dont_write_bytecode = True

import readme  # noqa: E402

HERE = Path(__file__).resolve().parent
PACKAGES = HERE.parents[1] / "deploy/packages"
# Where the packages say that their source is.
REPOSITORY = "https://code.example.org/team/rooms"
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
    is refused: `wait-…` asks for an hour, `running-…` is still being done, `…-3` is answered by a proxy (504), and so is a question
    for a room of this door (502)."""

    server_url, seen, lock = "", {}, threading.Lock()

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.lock:
            kind = (self.command, self.path, self.headers.get("Idempotency-Key"), body)
            before = self.seen[kind] = self.seen.get(kind, 0) + 1
        if before == 1:
            key = self.headers.get("Idempotency-Key") or ""
            proxy = 504 if key.endswith("-3") else 502 if self.command == "GET" and self.path.endswith("-door") else None
            if proxy:
                return self.answer(proxy, b"<html><head><title>nginx is sorry</title></head></html>", {"Content-Type": "text/html"})
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
    """A server in production mode, where nobody is an operator without a key; the tests know all keys."""
    url = f"http://127.0.0.1:{free_port(socket.SOCK_STREAM)}"
    (directory / "roomservice.toml").write_text(f"""
mode = "production"
data_dir = "{directory / 'data'}"
[http]
listen = "{url.removeprefix('http://')}"
tls_by_proxy = true
[live]
pushSecretKey = "{SECRET_KEY[::-1]}"
[sessions]
secret = "{SECRET_KEY[::-1]}"
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


def ask(url, bearer, path, method="GET", body=None):
    """The status of a request to the operator API."""
    headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/api/v1{path}", body and json.dumps(body).encode(), headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as e:
        with e:
            return e.code


def posted(url):
    """A webhook that the server has posted: its signature and body."""
    if ask(url, KEY, "/rooms", "POST", {"kind": "live", "roomID": "tea"}) != 201:
        sys.exit("no room is made")
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


def make(document, directory):
    """The packages as a release has them. None says that its source is elsewhere, or is made without saying where it is."""
    made = subprocess.run([PACKAGES, "--repository", f"{REPOSITORY}.git", document, directory], timeout=120)
    if made.returncode != 0:
        sys.exit("no packages are made")
    for package in sorted(p for p in directory.iterdir() if p.is_dir()):
        manifests = [p for p in package.iterdir() if p.name in ("package.json", "pyproject.toml", "go.mod", "pom.xml", "composer.json")]
        if not any(REPOSITORY.removeprefix("https://") in manifest.read_text() for manifest in manifests):
            sys.exit(f"{package.name}: no package file names {REPOSITORY}")
    for wrong in ("https://git.example.com/roomservice/roomservice", "ftp://code.example.org/rooms", "rooms"):
        refused = subprocess.run([PACKAGES, "--repository", wrong, "--check"], timeout=60, capture_output=True, text=True)
        if refused.returncode == 0 or "--repository URL" not in refused.stderr or "Cargo.toml" not in refused.stderr:
            sys.exit(f"packages may say that their source is at {wrong}: {refused.stderr}")


def weapp(url, call, query):
    """The code of a call of the room protocol: 0 if it goes well."""
    address = f"{url}/weapp/live_room/{call}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(address, b'{"cnt":1,"index":0}', timeout=30) as answer:
        return json.load(answer)["code"]


def printed(language, package, url):
    """Runs the README of a language; whether what it says is so, and what it makes is good."""
    try:
        room, session, sig, token, event = readme.run(language, package)
    except (readme.Wrong, subprocess.TimeoutExpired) as e:
        print(e)
        return False
    login = {"sdkAppID": APP, "accountType": 0, "userID": "alice", "userSig": sig}
    found = {
        "the room is there": ask(url, KEY, f"/rooms/{room}") == 200,
        "the token is for that room": ask(url, token, f"/rooms/{room}") == 200,
        "and for no other": ask(url, token, "/rooms/tea") == 403,
        "the session is good": weapp(url, "get_room_list", {"userID": "alice", "token": session}) == 0,
        "so is the userSig": weapp(url, "login", login) == 0,
        "the webhook is read": event == "room_created",
    }
    # The next one makes it, too.
    found["the room is closed"] = ask(url, KEY, f"/rooms/{room}", "DELETE") == 204
    wrong = [what for what, well in found.items() if not well]
    if wrong:
        print(f"{language}: what its README says is not so: {', '.join(wrong)}")
    return not wrong


def whole(package, url):
    """Runs the whole backend that the README of all has; whether it does what it says, and its login is good."""
    try:
        login = readme.whole(package)
    except (readme.Wrong, OSError) as e:
        print(e)
        return False
    if weapp(url, "login", login | {"accountType": 0}) != 0 or ask(url, KEY, "/rooms/whole", "DELETE") != 204:
        print("the login or the room of the whole backend is no good")
        return False
    return True


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
            "ROOMSERVICE_KEY": KEY, "SECRET_KEY": SECRET_KEY, "WEBHOOK_SECRET": WEBHOOK_SECRET, "WEBHOOK_SIGNATURE": signature,
            "WEBHOOK_BODY": body, "RECORDING": RECORDING, "RECORDING_SIZE": str(len(BYTES)),
            # No test fetches anything.
            "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local", "PYTHONDONTWRITEBYTECODE": "1",
        }
        make(document, directory / "packages")
        os.environ.update(environment)
        for language in wanted:
            package, began = directory / "packages" / language, time.monotonic()
            needs = TESTS[language][0]
            if not shutil.which(needs):
                print(f"{language}: made; not run, because there is no {needs}", flush=True)
                continue
            well = run(language, package, environment) and printed(language, package, url)
            if language == "node":
                well = well and whole(package, url)
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
