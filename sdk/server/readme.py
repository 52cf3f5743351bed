"""Runs what the READMEs of the SDKs print, as printed, within a package and against a server.

All blocks of a README are one program, in their order. What an app would have beside them (its keys, the request of a webhook) stands
here, before them; after them the program says what it was given, and the server is asked whether that is any good.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

# The address and the app that the READMEs print.
ADDRESS, APP = "https://live.example.com", "1400000000"


HERE = Path(__file__).resolve().parent


class Wrong(Exception):
    """A README does not do what it says."""


def blocks(package, fence):
    """The blocks of a README, and the lines that bring names in, which stand first."""
    text = (package / "README.md").read_text(encoding="utf-8")
    found = "\n".join(re.findall(rf"```{fence}\n(.*?)```", text, re.S))
    if ADDRESS not in found or APP not in found:
        raise Wrong(f"{package.name}: the README has no example that names {ADDRESS} and {APP}")
    lines = found.replace(ADDRESS, os.environ["SERVER_URL"]).replace(APP, os.environ["SDK_APP_ID"]).split("\n")
    brings = [line for line in lines if re.match(r"(import|from|use) ", line)]
    return "\n".join(brings), "\n".join(line for line in lines if line not in brings), said_in(found)


def said_in(code):
    """What lines print, by the comments behind them."""
    return re.findall(r"(?://|#) (\d{3} .*)$", code, re.M)


def node(package):
    brings, code, said = blocks(package, "js")
    (package / "readme.mjs").write_text(f"""{brings}
const body = Buffer.from(process.env.WEBHOOK_BODY);
const request = {{ headers: {{ 'x-roomservice-signature': process.env.WEBHOOK_SIGNATURE }} }};
const secret = process.env.WEBHOOK_SECRET;
{code}
console.log('made', room.roomID, token, sig, forOneRoom, event.event);
""", encoding="utf-8")
    return output(package, ["node", "readme.mjs"]), said


def python(package):
    brings, code, said = blocks(package, "python")
    (package / "readme.py").write_text(f"""import os
import types
{brings}
KEY, SECRET_KEY, WEBHOOK_SECRET = (os.environ[name] for name in ("ROOMSERVICE_KEY", "SECRET_KEY", "WEBHOOK_SECRET"))
request = types.SimpleNamespace(body=os.environ["WEBHOOK_BODY"].encode(),
                                headers={{"X-RoomService-Signature": os.environ["WEBHOOK_SIGNATURE"]}})
{code}
print("made", room["roomID"], session["token"], sig, token, event["event"])
""", encoding="utf-8")
    return output(package, ["python3", "-W", "error", "readme.py"]), said


def go(package):
    brings, code, said = blocks(package, "go")
    # An app looks at each error; the README leaves that out.
    checked = re.sub(r"^((?:\w+, )?err :?= .*)$", r"\1\nif err != nil {\n\tlog.Fatal(err)\n}", code, flags=re.M)
    (package / "readme").mkdir()
    (package / "readme" / "main.go").write_text(f"""package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

{brings}

func main() {{
ctx, r := context.Background(), &http.Request{{Header: http.Header{{}}}}
key, secretKey, webhookSecret := os.Getenv("ROOMSERVICE_KEY"), os.Getenv("SECRET_KEY"), os.Getenv("WEBHOOK_SECRET")
body := []byte(os.Getenv("WEBHOOK_BODY"))
r.Header.Set("X-RoomService-Signature", os.Getenv("WEBHOOK_SIGNATURE"))
{checked}
fmt.Println("made", room.RoomID, session.Token, sig, token, event.Event)
}}
""", encoding="utf-8")
    return output(package, ["go", "run", "./readme"]), said


def java(package):
    brings, code, said = blocks(package, "java")
    (package / "Readme.java").write_text(f"""{brings}

final class Readme {{
    record Request(String signature) {{
        String getHeader(String name) {{
            return name.equals("X-RoomService-Signature") ? signature : null;
        }}
    }}

    public static void main(String[] arguments) throws Exception {{
        String key = System.getenv("ROOMSERVICE_KEY");
        String secretKey = System.getenv("SECRET_KEY");
        String webhookSecret = System.getenv("WEBHOOK_SECRET");
        byte[] body = System.getenv("WEBHOOK_BODY").getBytes(java.nio.charset.StandardCharsets.UTF_8);
        Request request = new Request(System.getenv("WEBHOOK_SIGNATURE"));
{code}
        System.out.println(String.join(" ", "made", room.roomID(), session.token(), sig, token, event.event()));
    }}
}}
""", encoding="utf-8")
    return output(package, ["java", "-cp", "classes", "Readme.java"]), said


def php(package):
    """In PHP's own server, which is sent the webhook."""
    brings, code, said = blocks(package, "php")
    (package / "readme.php").write_text(f"""<?php

declare(strict_types=1);

{brings}

spl_autoload_register(static function (string $class): void {{
    require __DIR__ . '/src/' . substr($class, strlen('RoomService\\\\')) . '.php';
}});
set_error_handler(static fn (int $kind, string $message) => throw new ErrorException($message));
[$key, $secretKey, $webhookSecret] = [getenv('ROOMSERVICE_KEY'), getenv('SECRET_KEY'), getenv('WEBHOOK_SECRET')];
{code}
echo "\\nmade $room[roomID] $session[token] $sig $token $event[event]\\n";
""", encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        at = "127.0.0.1:{}".format(free.getsockname()[1])
    server = subprocess.Popen(["php", "-S", at, "readme.php"], cwd=package, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    headers = {"X-RoomService-Signature": os.environ["WEBHOOK_SIGNATURE"]}
    request = urllib.request.Request(f"http://{at}/", os.environ["WEBHOOK_BODY"].encode(), headers)
    end = time.monotonic() + 20
    try:
        while True:
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return answer.read().decode(), said
            except urllib.error.HTTPError as e:
                with e:
                    raise Wrong(f"php: {e.read().decode(errors='replace')}") from None
            except OSError:
                # It does not listen yet.
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
    finally:
        server.kill()
        server.wait()


def whole(package):
    """The whole backend of both READMEs beside the packages: it logs in, makes a room, and takes the server's webhooks alone."""
    [english, chinese] = [re.search(r"```js\n(.*?)```", (HERE / name).read_text(encoding="utf-8"), re.S)[1]
                          for name in ("README.md", "README.zh-CN.md")]
    if english != chinese:
        raise Wrong("the whole backend is not the same in both languages")
    with tempfile.TemporaryDirectory(prefix="roomservice-readme-") as scratch, socket.socket() as free:
        modules = Path(scratch) / "node_modules"
        modules.mkdir()
        shutil.copytree(package, modules / "roomservice-server")
        code = english.replace(ADDRESS, os.environ["SERVER_URL"]).replace(APP, os.environ["SDK_APP_ID"])
        (Path(scratch) / "backend.mjs").write_text(code, encoding="utf-8")
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        backend = subprocess.Popen(["node", "backend.mjs"], cwd=scratch, env=os.environ | {"PORT": str(port)}, text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            def ask(path, body, headers=None):
                request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body.encode(), headers or {})
                try:
                    with urllib.request.urlopen(request, timeout=30) as answer:
                        return answer.status, json.load(answer)
                except urllib.error.HTTPError as e:
                    with e:
                        return e.code, json.load(e)

            end = time.monotonic() + 20
            while True:
                try:
                    status, login = ask("/login", '{"userID":"alice"}')
                    break
                except OSError:
                    if time.monotonic() > end or backend.poll() is not None:
                        raise
                    time.sleep(0.1)
            signed = {"X-RoomService-Signature": os.environ["WEBHOOK_SIGNATURE"]}
            found = [
                ("it logs in", (status, login["userID"]), (200, "alice")),
                ("it makes a room", ask("/shows", '{"roomID":"whole"}')[1].get("roomID"), "whole"),
                ("a refusal is handed on", ask("/shows", '{"roomID":"whole"}')[0], 409),
                ("it takes a webhook", ask("/hooks", os.environ["WEBHOOK_BODY"], signed)[0], 200),
                ("and no other's", ask("/hooks", os.environ["WEBHOOK_BODY"])[0], 401),
                ("nothing is elsewhere", ask("/nowhere", "")[0], 404),
            ]
        finally:
            backend.kill()
            said, _ = backend.communicate()
        wrong = [f"{what}: {seen}" for what, seen, wanted in found if seen != wanted]
        if wrong or "room_created" not in said:
            raise Wrong(f"the whole backend: {wrong}\n{said}")
        return login


LANGUAGES = {"node": node, "python": python, "go": go, "java": java, "php": php}


def output(package, command, bound=300):
    done = subprocess.run(command, cwd=package, stdin=subprocess.DEVNULL, timeout=bound, capture_output=True, text=True)
    if done.returncode != 0:
        raise Wrong(f"{package.name}: {done.stdout}\n{done.stderr}")
    return done.stdout


def run(language, package):
    """Runs the README in a copy of the package; gives what it was handed: room, session, userSig, token, kind of event."""
    with tempfile.TemporaryDirectory(prefix="roomservice-readme-") as scratch:
        copy = Path(scratch) / language
        shutil.copytree(package, copy)
        text, said = LANGUAGES[language](copy)
    missing = [line for line in said if line not in text]
    made = re.findall(r"^made (\S+) (\S+) (\S+) (\S+) (\S+)$", text, re.M)
    if missing or len(made) != 1:
        raise Wrong(f"{language}: the README’s program said\n{text}\nand not {missing or 'what it was given'}")
    return made[0]
