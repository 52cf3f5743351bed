"""Python: methods in snake_case, answers as dictionaries with their types."""

import re

from .document import Type
from .lines import origin, snake, spread, text, wrap


def name_of(name):
    plain = snake(name)
    return plain + "_" if plain in ("from", "class", "global", "in", "is", "pass") else plain


def type_of(kind):
    plain = {"string": "str", "integer": "int", "int64": "int", "number": "float", "boolean": "bool", "any": "Any",
             "object": "dict[str, Any]", "binary": "BinaryIO"}
    if kind.kind == "list":
        name = f"list[{type_of(kind.of)}]"
    elif kind.kind == "map":
        name = f"dict[str, {type_of(kind.of)}]"
    else:
        name = kind.of if kind.kind in ("ref", "enum") else plain[kind.kind]
    return f"{name} | None" if kind.nullable else name


def method(o):
    def hint(f):
        plain = type_of(f.type).removesuffix(" | None")
        return f"{name_of(f.name)}: {plain}" if f.required else f"{name_of(f.name)}: {plain} | None = None"

    arguments = ["self", *(hint(f) for f in o.arguments if f.required)]
    optional = [hint(f) for f in o.arguments if not f.required] + ["idempotency_key: str | None = None"] * o.keyed
    arguments += ["*", *optional] if optional else []
    lines = spread(f"def {snake(o.name)}(", arguments, f") -> {type_of(o.answer) if o.answer else 'None'}:", "    ")
    docs = [line for f in o.arguments if f.doc for line in wrap(f"{name_of(f.name)}: {f.doc}", "        ")]
    doc = wrap(f'"""{o.doc}', "        ")
    lines += [*doc, "", *docs, '        """'] if docs else [*doc[:-1], doc[-1] + '"""']
    path = re.sub(r"\{(\w+)\}", lambda m: f"{{segment({name_of(m[1])})}}", o.path)
    given = [f'"{o.method}"', f'{"f" if o.path_fields else ""}"{path}"']
    if o.query:
        given.append("query={" + ", ".join(f'"{f.name}": {name_of(f.name)}' for f in o.query) + "}")
    if o.body:
        given.append("body={" + ", ".join(f'"{f.name}": {name_of(f.name)}' for f in o.body.fields) + "}")
    given += ["idempotency_key=idempotency_key"] * o.keyed
    given += ["binary=True"] * bool(o.answer and o.answer.kind == "binary")
    return [*lines, *spread("return self._call(" if o.answer else "self._call(", given, ")", "        "), ""]


def write(api):
    lines = [f'"""{origin(api)}"""', "", "from __future__ import annotations", "",
             "from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypedDict", "",
             "from ._http import Transport, segment", "", "if TYPE_CHECKING:",
             "    from typing_extensions import NotRequired", ""]
    for enum in api.enums.values():
        lines += spread(f"{enum.name} = Literal[", [f'"{v}"' for v in enum.values], "]")
    for one in api.reached([o.answer for o in api.operations if o.answer] + [Type("ref", o.name) for o in api.nested()]):
        lines += ["", "", f"class {one.name}(TypedDict):", f'    """{one.doc}"""', ""]
        for f in one.fields:
            lines += wrap(f.doc, "    # ")
            kind = type_of(f.type)
            lines.append(f"    {f.name}: {kind if f.required else f'NotRequired[{kind}]'}")
    lines += ["", "", "class Client(Transport):", '    """The operator API. Every call may raise ApiError, and OSError where the server cannot be reached."""',
              "", f'    _root = "{api.root}"', ""]
    for operation in api.operations:
        lines += method(operation)
    return {"roomservice_server/client.py": text(lines)}
