"""Words and lines that all writers need."""

import re
import textwrap

WIDTH = 120


def origin(api):
    """What stands at the top of a file."""
    return f"Made by sdk/server/generate.py from the OpenAPI document of RoomService {api.version}: change that, not this."


def words(name):
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", name)


def snake(name):
    return "_".join(words(name)).lower()


def pascal(name):
    return name[0].upper() + name[1:]


def wrap(text, prefix, width=WIDTH):
    """Lines of prose, each behind a prefix. Nothing for no prose."""
    return textwrap.wrap(text, width, initial_indent=prefix, subsequent_indent=prefix, break_on_hyphens=False,
                         break_long_words=False)


def spread(before, items, after, indent=""):
    """A list on one line where it fits, else one item a line."""
    line = f"{indent}{before}{', '.join(items)}{after}"
    if len(line) <= WIDTH or not items:
        return [line]
    return [indent + before, *(f"{indent}    {item}," for item in items), indent + after]


def text(lines):
    return "\n".join(lines).rstrip("\n") + "\n"
