#!/usr/bin/env python3
"""Makes a server-side SDK of RoomService out of the operator API's OpenAPI document: generate.py DOCUMENT LANGUAGE OUT

    roomservice openapi | sdk/server/generate.py - go client

LANGUAGE is node, python, go, java or php. OUT becomes the whole package: what is written by hand beside this file in the
language's directory (requests, signatures, webhooks, the package file), and a client with one method for each operation.
A document that is not as it should be is refused: nothing is guessed.
"""

import json
import shutil
import sys
from pathlib import Path

# Nothing is left in the repository.
sys.dont_write_bytecode = True

from generator import go, java, node, php, python  # noqa: E402
from generator.document import Unfit, read  # noqa: E402

HERE = Path(__file__).resolve().parent
# Files that say of which version the package is; here it is 0.0.0.
MANIFESTS = ("package.json", "pyproject.toml", "pom.xml", "composer.json")
LANGUAGES = {"node": node, "python": python, "go": go, "java": java, "php": php}


def main():
    if len(sys.argv) != 4 or sys.argv[2] not in LANGUAGES:
        sys.exit(__doc__.strip())
    source, language, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    try:
        api = read(json.load(sys.stdin if source == "-" else open(source, encoding="utf-8")))
        made = LANGUAGES[language].write(api)
    except (Unfit, KeyError, ValueError) as e:
        sys.exit(f"generate.py: {source}: {e}")
    shutil.copytree(HERE / language, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    for manifest in filter(Path.exists, (out / name for name in MANIFESTS)):
        manifest.write_text(manifest.read_text(encoding="utf-8").replace("0.0.0", api.version, 1), encoding="utf-8")
    for name in ("LICENSE-APACHE", "LICENSE-MIT"):
        shutil.copy(HERE.parents[1] / name, out)
    for name, content in made.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
