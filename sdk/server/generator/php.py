"""PHP: methods with named arguments, answers as arrays with their shapes."""

import re

from .document import Type
from .lines import origin, spread, text, wrap


def type_of(kind):
    plain = {"string": "string", "integer": "int", "int64": "int", "number": "float", "boolean": "bool", "any": "mixed",
             "enum": "string"}
    return plain.get(kind.kind, "array")


def shape_of(kind):
    plain = {"string": "string", "integer": "int", "int64": "int", "number": "float", "boolean": "bool", "any": "mixed",
             "object": "array<string, mixed>", "binary": "resource"}
    if kind.kind == "list":
        name = f"list<{shape_of(kind.of)}>"
    elif kind.kind == "map":
        name = f"array<string, {shape_of(kind.of)}>"
    else:
        name = kind.of if kind.kind in ("ref", "enum") else plain[kind.kind]
    return f"{name}|null" if kind.nullable else name


def method(o):
    def declared(f):
        return f"{type_of(f.type)} ${f.name}" if f.required else f"?{type_of(f.type)} ${f.name} = null"

    def value(f):
        # An empty PHP array would be written as a list.
        if type_of(f.type) != "array" or f.type.kind == "list":
            return f"${f.name}"
        return f"(object) ${f.name}" if f.required else f"${f.name} === null ? null : (object) ${f.name}"

    lines = ["    /**", *wrap(o.doc, "     * "), "     *"]
    for f in o.arguments:
        shape = shape_of(f.type).removesuffix("|null") + ("" if f.required else "|null")
        lines += wrap(f"@param {shape} ${f.name} {f.doc}", "     * ")
    if o.answer:
        lines.append(f"     * @return {shape_of(o.answer)}")
    lines += ["     * @throws ApiException|ConnectionException", "     */"]
    arguments = [declared(f) for f in o.arguments] + ["?string $idempotencyKey = null"] * o.keyed
    binary = bool(o.answer and o.answer.kind == "binary")
    result = "" if binary else ": array" if o.answer else ": void"
    head = spread(f"public function {o.name}(", arguments, f"){result}", "    ")
    lines += [*head, "    {"] if len(head) == 1 else [*head[:-1], head[-1] + " {"]
    place = re.sub(r"\{(\w+)\}", r"' . self::segment($\1) . '", o.path)
    given = [f"'{o.method}'", f"'{place}'".replace(" . ''", "")]
    if o.query:
        given.append(f"query: [{', '.join(f'{f.name!r} => ${f.name}' for f in o.query)}]")
    if o.body:
        given.append(f"body: [{', '.join(f'{f.name!r} => {value(f)}' for f in o.body.fields)}]")
    given += ["idempotencyKey: $idempotencyKey"] * o.keyed + ["binary: true"] * binary
    return [*lines, *spread("return $this->call(" if o.answer else "$this->call(", given, ");", "        "), "    }", ""]


def write(api):
    lines = ["<?php", "", f"// {origin(api)}", "", "declare(strict_types=1);", "", "namespace RoomService;", "",
             "/**", " * The operator API: a method for each operation, with its arguments by name.", " *"]
    for enum in api.enums.values():
        lines.append(f" * @phpstan-type {enum.name} {'|'.join(repr(v) for v in enum.values)}")
    for one in api.reached([o.answer for o in api.operations if o.answer] + [Type("ref", o.name) for o in api.nested()]):
        members = ", ".join(f"{f.name}{'' if f.required else '?'}: {shape_of(f.type)}" for f in one.fields)
        lines.append(f" * @phpstan-type {one.name} array{{{members}}}")
    lines += [" */", "final class Client extends Transport", "{", f"    protected const ROOT = '{api.root}';", ""]
    for operation in api.operations:
        lines += method(operation)
    return {"src/Client.php": text([*lines[:-1], "}"])}
