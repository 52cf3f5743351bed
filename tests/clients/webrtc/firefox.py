"""Firefox ESR as WHIP publisher and WHEP player, driven by Marionette. FIREFOX names the program.
Words: `loopback` lets it use 127.0.0.1 and tell its addresses, as no user's Firefox does; `lines=sound`."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

from report import arguments, say
from server import free

PREFERENCES = {
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    "media.gmp-manager.updateEnabled": False,
    "media.gmp-manager.url": "",
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "media.navigator.permission.disabled": True,
    "media.navigator.streams.fake": True,
    # Pages of other addresses than this machine's loopback, too.
    "media.devices.insecure.enabled": True,
    "media.getusermedia.insecure.enabled": True,
    "media.navigator.audio.fake_frequency": 440,
}
LOOPBACK = {"media.peerconnection.ice.loopback": True, "media.peerconnection.ice.obfuscate_host_addresses": False}


class Marionette:
    def __init__(self, port):
        for _ in range(600):
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise SystemExit("Firefox opens no port")
        self.file, self.count = self.socket.makefile("rb"), 0
        self.receive()

    def receive(self):
        length = b""
        while not length.endswith(b":"):
            length += self.file.read(1)
        return json.loads(self.file.read(int(length[:-1])))

    def call(self, name, **parameters):
        self.count += 1
        data = json.dumps([0, self.count, name, parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(data), data))
        _, _, error, result = self.receive()
        if error:
            raise SystemExit(f"{name}: {error['message']}")
        return result

    def script(self, text, *arguments):
        return self.call("WebDriver:ExecuteScript", script=text, args=arguments, sandbox=None, newSandbox=False)["value"]


def start(words, home):
    port = free()
    wanted = {**PREFERENCES, "marionette.port": port, **(LOOPBACK if "loopback" in words else {})}
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in wanted.items()]
    pathlib.Path(home, "user.js").write_text("\n".join(lines))
    program = os.environ.get("FIREFOX", "firefox-esr")
    command = [program, "--headless", "--marionette", "--no-remote", "--profile", home]
    env = {**os.environ, "HOME": home, "MOZ_CRASHREPORTER_DISABLE": "1"}
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), port


def main():
    role, codec, url, seconds, words = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="firefox-", ignore_cleanup_errors=True) as home:
        child, port = start(words, home)
        try:
            firefox = Marionette(port)
            able = firefox.call("WebDriver:NewSession", capabilities={"alwaysMatch": {}})["capabilities"]
            say(version=f"Firefox {able['browserVersion']}")
            firefox.call("WebDriver:Navigate", url=urllib.parse.urljoin(url, "/healthz"))
            page = pathlib.Path(__file__).with_name("page.js").read_text()
            firefox.script(page)
            run = "window.wrappedJSObject; window.running = window.client(...arguments).then(() => { window.over = true; });"
            firefox.script(run, role, codec, url, seconds, [*words, "microphone"])
            end = time.monotonic() + seconds + 20
            over = False
            while not over and time.monotonic() < end:
                over, told = firefox.script("return [window.over === true, window.told.splice(0)];")
                for fields in told:
                    say(**fields)
                time.sleep(0.05)
        finally:
            child.kill()
            child.wait()


if __name__ == "__main__":
    main()
    sys.exit(0)
