"""A server of its own for the clients beside: started on free ports with an empty data directory, URLs signed by it."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]


def free(kind=socket.SOCK_STREAM):
    with socket.socket(type=kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# An address other than loopback is for production alone, where an operator's key gets a user's signature.
KEY = "operator-key-of-these-tests"
PRODUCTION = f"""mode = "production"
[http]
tls_by_proxy = true
[sessions]
secret = "session-secret-of-these-tests"
[live]
pushSecretKey = "push-secret-of-these-tests"
[im]
sdkAppID = 1400000001
secretKey = "signature-secret-of-these-tests"
[operator]
keys = ["{KEY}"]
"""


def call(url, data=None):
    body = None if data is None else json.dumps(data).encode()
    head = {"Authorization": f"Bearer {KEY}", "X-Forwarded-Proto": "http"}
    return json.load(urllib.request.urlopen(urllib.request.Request(url, data=body, headers=head), timeout=15))


class Server:
    """`address`: where its WebRTC listens; GStreamer and Firefox pair nothing with 127.0.0.1. `host`: where its HTTP does."""

    def __init__(self, address=None, host="127.0.0.1"):
        self.scratch = tempfile.TemporaryDirectory(prefix="roomservice-webrtc-")
        self.log_path = pathlib.Path(self.scratch.name, "log")
        self.read = 0
        http, rtmp, rtc = free(), free(), free(socket.SOCK_DGRAM)
        self.base, self.count = f"http://{host}:{http}", 0
        own = {
            "ROOMSERVICE_DATA_DIR": str(pathlib.Path(self.scratch.name, "data")),
            "ROOMSERVICE_HTTP__LISTEN": f"{host}:{http}",
            "ROOMSERVICE_RTMP__LISTEN": f"{host}:{rtmp}",
            "ROOMSERVICE_WEBRTC__LISTEN": f"{address or '127.0.0.1'}:{rtc}",
        }
        if address:
            config = pathlib.Path(self.scratch.name, "production.toml")
            config.write_text(PRODUCTION)
            config.chmod(0o600)
            own["ROOMSERVICE_CONFIG"] = str(config)
        program = os.environ.get("SERVER", str(ROOT / "target/debug/roomservice"))
        with self.log_path.open("w") as log:
            self.child = subprocess.Popen([program], env={**os.environ, **own}, stdout=log, stderr=log)
        for _ in range(200):
            try:
                urllib.request.urlopen(self.base + "/healthz", timeout=1)
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"the server does not answer:\n{self.log_path.read_text()}")

    def stream(self):
        """URLs of a fresh user: rtmp, whip, whep and flv."""
        self.count += 1
        user = f"u{self.count}"
        sig = call(f"{self.base}/weapp/utils/get_login_info?userID={user}")
        query = {"sdkAppID": sig["sdkAppID"], "accountType": sig["accountType"], "userID": user, "userSig": sig["userSig"]}
        token = call(f"{self.base}/weapp/live_room/login?{urllib.parse.urlencode(query)}", {})["token"]
        own = urllib.parse.urlencode({"userID": user, "token": token})
        urls = call(f"{self.base}/weapp/live_room/get_push_url?{own}", {"userID": user})
        whip = urls["whipURL"]
        return {
            "rtmp": urls["pushURL"],
            "whip": whip,
            "whep": whip.replace("/whip/", "/whep/"),
            "flv": re.sub(r"/whip/([^?]+)", r"/live/\1.flv", whip),
        }

    def warnings(self):
        """What it logged since the last time as a warning or an error, about WebRTC."""
        with self.log_path.open() as log:
            log.seek(self.read)
            new = log.read()
            self.read = log.tell()
        plain = re.sub(r"\x1b\[[0-9;]*m", "", new)
        wanted = [line for line in plain.splitlines() if re.search(r"\b(WARN|ERROR)\b|session ended", line)]
        return [line for line in wanted if "media::rtc" in line or "DTLS" in line]

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
        self.scratch.cleanup()
