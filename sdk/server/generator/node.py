"""Node: a class in JavaScript, its types for TypeScript beside it."""

import re

from .document import Type
from .lines import origin, text


def type_of(kind):
    plain = {"string": "string", "integer": "number", "int64": "number", "number": "number", "boolean": "boolean",
             "any": "unknown", "object": "{ [name: string]: unknown }", "binary": "ReadableStream<Uint8Array>"}
    if kind.kind == "list":
        name = f"{type_of(kind.of)}[]"
    elif kind.kind == "map":
        name = f"{{ [name: string]: {type_of(kind.of)} }}"
    else:
        name = kind.of if kind.kind in ("ref", "enum") else plain[kind.kind]
    return f"{name} | null" if kind.nullable else name


def member_lines(fields, indent):
    lines = []
    for f in fields:
        lines += [f"{indent}/** {f.doc} */"] if f.doc else []
        lines.append(f"{indent}{f.name}{'' if f.required else '?'}: {type_of(f.type)};")
    return lines


def write(api):
    code = [f"// {origin(api)}", "", "import { path, Transport } from './http.js';", "",
            "/** The operator API: a method for each operation, with its arguments by name. Rejects with ApiError. */",
            "export class Client extends Transport {", f"  root = '{api.root}';", ""]
    types = [f"// {origin(api)}", "", "import type { Transport } from './http.js';", ""]
    for enum in api.enums.values():
        types += [f"/** {enum.doc} */", f"export type {enum.name} = {' | '.join(repr(v) for v in enum.values)};", ""]
    bodies = [Type("ref", o.name) for o in api.nested()]
    for one in api.reached([o.answer for o in api.operations if o.answer] + bodies):
        types += [f"/** {one.doc} */", f"export interface {one.name} {{", *member_lines(one.fields, "  "), "}", ""]
    types += ["/** The operator API. Rejects with ApiError. */", "export class Client extends Transport {"]
    for o in api.operations:
        names = [f.name for f in o.arguments] + ["idempotencyKey"] * o.keyed
        optional = not any(f.required for f in o.arguments)
        given = []
        if o.query:
            given.append(f"query: {{ {', '.join(f.name for f in o.query)} }}")
        if o.body:
            given.append(f"body: {{ {', '.join(f.name for f in o.body.fields)} }}")
        given += ["idempotencyKey"] * o.keyed + ["binary: true"] * bool(o.answer and o.answer.kind == "binary")
        place = "path`" + re.sub(r"\{(\w+)\}", r"${\1}", o.path) + "`" if o.path_fields else f"'{o.path}'"
        options = f", {{ {', '.join(given)} }}" if given else ""
        arguments = f"{{ {', '.join(names)} }}{' = {}' if optional else ''}" if names else ""
        code += [f"  /** {o.doc} */", f"  {o.name}({arguments}) {{",
                 f"    return this.call('{o.method}', {place}{options});", "  }", ""]
        types += [f"  /** {o.doc} */"]
        answer = f"Promise<{type_of(o.answer) if o.answer else 'void'}>"
        if names:
            key = ["    /** A name for this request: with it the request may be sent again, and is done once. */",
                   "    idempotencyKey?: string;"] * o.keyed
            members = [*member_lines(o.arguments, "    "), *key]
            given = f"{o.name}(given{'?' if optional else ''}: {{"
            if len(members) == 1:
                types.append(f"  {given} {members[0].strip().rstrip(';')} }}): {answer};")
            else:
                types += [f"  {given}", *members, f"  }}): {answer};"]
        else:
            types += [f"  {o.name}(): {answer};"]
    return {"src/client.js": text([*code[:-1], "}"]), "src/client.d.ts": text([*types, "}"])}
