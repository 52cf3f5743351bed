"""Java: records for answers, a class that collects what a call is given, a class with all calls."""

import re

from .document import Type, Unfit
from .lines import origin, pascal, text, wrap


def type_of(kind, boxed=True):
    plain = {"string": "String", "enum": "String", "any": "Object", "object": "Map<String, Object>", "binary": "InputStream"}
    numbers = {"integer": ("Integer", "int"), "int64": ("Long", "long"), "number": ("Double", "double"),
               "boolean": ("Boolean", "boolean")}
    if kind.kind == "list":
        return f"List<{type_of(kind.of)}>"
    if kind.kind == "map":
        return f"Map<String, {type_of(kind.of)}>"
    if kind.kind in numbers:
        return numbers[kind.kind][0 if boxed or kind.nullable else 1]
    if kind.kind == "ref":
        return kind.of
    return plain[kind.kind]


def escaped(doc):
    doc = doc.replace("&", "&amp;").replace("<", "&lt;").replace("*/", "*&#47;")
    doc = doc.replace("{", "&#123;").replace("}", "&#125;")
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", doc)


def javadoc(doc, indent, more=()):
    lines = [line for one in (doc, *more) for line in wrap(escaped(one), f"{indent} * ")]
    return [f"{indent}/**", *lines, f"{indent} */"]


def file(api, lines, imports=()):
    head = [f"// {origin(api)}", "", "package roomservice.server;", ""]
    needed = [f"import {name};" for name in imports if any(re.search(rf"\b{name.split('.')[-1]}\b", line) for line in lines)]
    return text([*head, *needed, *[""] * bool(needed), *lines])


def arguments_class(name, doc, fields):
    """A class that collects what a call is given."""
    required = [f for f in fields if f.required]
    given = ", ".join(f"{type_of(f.type, False)} {f.name}" for f in required)
    lines = [*javadoc(doc, ""), f"public final class {name} extends Arguments {{"]
    lines += [f"    public {name}({given}) {{", *(f'        put("{f.name}", {f.name});' for f in required), "    }"]
    for f in fields:
        if not f.required:
            lines += ["", *(javadoc(f.doc, "    ") if f.doc else []),
                      f"    public {name} {f.name}({type_of(f.type)} {f.name}) {{",
                      f'        put("{f.name}", {f.name});', "        return this;", "    }"]
    return [*lines, "}"]


def record(one):
    members = ",\n".join(f"    {type_of(f.type, not f.required)} {f.name}" for f in one.fields)
    docs = [f"@param {f.name} {f.doc}" for f in one.fields if f.doc]
    return [*javadoc(one.doc, "", docs), f"public record {one.name}(", members, ") {}"]


def method(o):
    """The method, and shorter ones without a query and without an Idempotency-Key."""
    full = [(f"String {f.name}", f.name) for f in o.path_fields]
    variants = [(full, "null", "null")]
    if o.body:
        full = [*full, (f"{o.body.name} body", "body")]
        variants = [(full, "null", "null")]
    if o.query:
        variants.append(([*full, (f"{pascal(o.name)}Query query", "query")], "query", "null"))
    if o.keyed:
        last = variants[-1]
        variants.append(([*last[0], ("String idempotencyKey", "idempotencyKey")], last[1], "idempotencyKey"))
    place = re.sub(r"\{(\w+)\}", r'" + segment(\1) + "', o.path)
    place = f'"{place}"'.replace(' + ""', "")
    kind = type_of(o.answer) if o.answer else "void"
    lines = []
    for number, (arguments, query, key) in enumerate(variants):
        head = f"    public {kind} {o.name}({', '.join(a for a, _ in arguments)}) throws IOException, InterruptedException {{"
        returns = "return " if o.answer else ""
        if number + 1 < len(variants):
            values = [v for _, v in arguments]
            blanks = ["null"] * (len(variants[-1][0]) - len(arguments))
            made = f"{returns}{o.name}({', '.join(values + blanks)});"
        elif o.answer and o.answer.kind == "binary":
            made = f"return open({place});"
        elif o.answer and o.answer.kind == "list":
            made = f"return list({o.answer.of.of}.class, \"{o.method}\", {place}, {query}, {'body' if o.body else 'null'}, {key});"
        else:
            answer = f"{kind}.class" if o.answer else "Void.class"
            made = f"{returns}call({answer}, \"{o.method}\", {place}, {query}, {'body' if o.body else 'null'}, {key});"
        lines += [*javadoc(o.doc, "    "), head, f"        {made}", "    }", ""]
    return lines


def write(api):
    files, common = {}, ["java.io.IOException", "java.io.InputStream", "java.util.List", "java.util.Map"]
    for enum in api.enums.values():
        values = [f'    public static final String {v.upper()} = "{v}";' for v in enum.values]
        files[enum.name] = [*javadoc(enum.doc, ""), f"public final class {enum.name} {{", *values, "",
                            f"    private {enum.name}() {{}}", "}"]
    answered = api.answered()
    for one in answered:
        files[one.name] = record(one)
    bodies = [Type("ref", o.body.name) for o in api.operations if o.body]
    for one in api.reached(bodies):
        if one in answered:
            raise Unfit(f"{one.name} is both sent and answered")
        files[one.name] = arguments_class(one.name, one.doc, one.fields)
    for o in api.operations:
        if o.query:
            name = f"{pascal(o.name)}Query"
            files[name] = arguments_class(name, f"What `{o.name}` may be given.", o.query)
    lines = ["/** The operator API: a method for each operation. Whatever the server refuses is an {@link ApiException}. */",
             "public final class Client extends Transport {",
             "    /**", "     * A client of a server.",
             "     * @param server where it is, as in {@code https://live.example.com}",
             "     * @param key an operator's key or token, or null", "     */",
             "    public Client(String server, String key) {", f'        super(server, "{api.root}", key);', "    }", ""]
    for operation in api.operations:
        lines += method(operation)
    files["Client"] = [*lines[:-1], "}"]
    return {f"src/main/java/roomservice/server/{name}.java": file(api, found, common) for name, found in files.items()}
