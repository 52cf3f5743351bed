"""What RTMP, HTTP-FLV and HLS players, and recordings, get of streams that browsers and libraries publish by WHIP.

    ENVIRONMENT=DIRECTORY SERVER=target/debug/roomservice python3 tests/clients/webrtc/elsewhere.py

FFmpeg 9 decodes each for three seconds, joining late. Prints a table: codec, output, decoded pictures, samples."""

import re
import subprocess

from matrix import FFMPEG9, Client
from server import Server

SECONDS = 3


def decoded(url):
    """Pictures and samples that FFmpeg decodes, and its last complaint."""
    command = [
        str(FFMPEG9), "-hide_banner", "-nostdin", "-loglevel", "info", "-t", str(SECONDS), "-i", url,
        "-map", "0", "-f", "null", "-",
    ]  # fmt: skip
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except subprocess.TimeoutExpired as hung:
        return "-", f"no end after 30 s: {(hung.stderr or b'')[-200:]}"
    frames = re.findall(r"frame=\s*(\d+)", run.stderr)
    video = re.search(r"Video: (\S+).*?, (\d+x\d+)", run.stderr)
    audio = re.search(r"Audio: (\S+)", run.stderr)
    said = f"{video.group(1)} {video.group(2)}" if video else "no video"
    said += f", {audio.group(1)}" if audio else ", no sound"
    if run.returncode:
        said += f" · {run.stderr.strip().splitlines()[-1]}"
    return (frames or ["0"])[-1], said


def main():
    server = Server()
    try:
        print(f"{'client':<12}{'codec':<8}{'output':<8}{'frames':>7}  what ffmpeg saw")
        for name, codec in [("chromium", c) for c in ("VP8", "VP9", "AV1", "H264")]:
            urls = server.stream()
            client = Client(name, "publish", codec, urls["whip"], 60)
            try:
                client.settled()
                hls = urls["flv"].replace(".flv", ".m3u8")
                for output, url in [("hls", hls), ("flv", urls["flv"]), ("rtmp", urls["rtmp"])]:
                    frames, said = decoded(url)
                    print(f"{name:<12}{codec:<8}{output:<8}{frames:>7}  {said}", flush=True)
            finally:
                client.stop()
    finally:
        server.stop()


main()
