"""Go: structures for what is sent and answered, a method for each operation."""

from .document import Type
from .lines import origin, pascal, text, words, wrap


def name_of(name):
    known = {"id": "ID", "url": "URL", "sdk": "SDK"}
    return "".join(known.get(word.lower(), word[0].upper() + word[1:]) for word in words(name))


def type_of(kind, pointers=True):
    plain = {"string": "string", "integer": "int", "int64": "int64", "number": "float64", "boolean": "bool",
             "any": "any", "object": "map[string]any", "binary": "io.ReadCloser"}
    if kind.kind == "list":
        return f"[]{type_of(kind.of, False)}"
    if kind.kind == "map":
        return f"map[string]{type_of(kind.of, False)}"
    if kind.kind == "ref":
        return f"*{kind.of}" if kind.nullable and pointers else kind.of
    if kind.kind == "enum":
        return kind.of
    return plain[kind.kind]


def comment(name, doc, prefix):
    return wrap(f"{name}: {doc[0].lower() + doc[1:] if doc[1:2].islower() or doc[1:2] == ' ' else doc}", prefix) if doc else []


def struct(one, sent):
    lines = [*comment(one.name, one.doc, "// "), f"type {one.name} struct {{"]
    rows = [(name_of(f.name), "*" * (sent and f.zero_counts and not f.required) + type_of(f.type)) for f in one.fields]
    # gofmt puts members below each other between which no words stand.
    together = not any(f.doc for f in one.fields)
    first, second = (max(map(len, column)) * together for column in zip(*rows))
    for f, (member, kind) in zip(one.fields, rows):
        lines += wrap(f.doc, "\t// ")
        lines.append(f"\t{member:{first}} {kind:{second}} `json:\"{f.name}{'' if f.required else ',omitempty'}\"`")
    return [*lines, "}", ""]


def query(o):
    """The optional arguments in the query of a call, and how they are written."""
    name = f"{name_of(o.name)}Query"
    lines = [f"// {name} has what {name_of(o.name)} may be given; a field that is empty is left out.", f"type {name} struct {{"]
    for f in o.query:
        lines += [*wrap(f.doc, "\t// "), f"\t{name_of(f.name)} {type_of(f.type)}"]
    lines += ["}", "", f"func (q {name}) values() url.Values {{", "\tvalues := url.Values{}"]
    for f in o.query:
        if f.type.kind == "string":
            lines += [f'\tif q.{name_of(f.name)} != "" {{', f'\t\tvalues.Set("{f.name}", q.{name_of(f.name)})', "\t}"]
        else:
            number = f"q.{name_of(f.name)}"
            number = f"strconv.FormatInt({number}, 10)" if f.type.kind == "int64" else f"strconv.Itoa({number})"
            lines += [f"\tif q.{name_of(f.name)} != 0 {{", f'\t\tvalues.Set("{f.name}", {number})', "\t}"]
    return [*lines, "\treturn values", "}", ""]


def method(o):
    arguments = ["ctx context.Context", *(f"{f.name} string" for f in o.path_fields)]
    arguments += [f"query {name_of(o.name)}Query"] * bool(o.query) + ([f"body {o.body.name}"] if o.body else [])
    arguments += ["options ...CallOption"] * o.keyed
    parts = [p for p in o.path.split("/") if p]
    place = ", ".join(p[1:-1] if p.startswith("{") else f'"{p}"' for p in parts)
    asked = [f"method: http.Method{o.method.capitalize()}", f"path: []string{{{place}}}"]
    asked += ["query: query.values()"] * bool(o.query) + ["body: body"] * bool(o.body)
    passed = ", options..." if o.keyed else ""
    request = f"request{{{', '.join(asked)}}}{passed}"
    if o.answer is None:
        result, made = "error", f"c.do(ctx, {request})"
    elif o.answer.kind == "binary":
        result, made = "(io.ReadCloser, error)", f"c.open(ctx, {request})"
    elif o.answer.kind == "ref":
        result, made = f"(*{o.answer.of}, error)", f"call[*{o.answer.of}](ctx, c, {request})"
    else:
        result, made = f"({type_of(o.answer)}, error)", f"call[{type_of(o.answer)}](ctx, c, {request})"
    return [*comment(name_of(o.name), o.doc, "// "),
            f"func (c *Client) {name_of(o.name)}({', '.join(arguments)}) {result} {{", f"\treturn {made}", "}", ""]


def write(api):
    lines = [f"// {origin(api)}", "", "package roomservice", "", "import (", '\t"context"', '\t"io"',
             '\t"net/http"', '\t"net/url"', '\t"strconv"', ")", "", "// root is where the API stands on a server.",
             f'const root = "{api.root}"', ""]
    for enum in api.enums.values():
        lines += [*comment(enum.name, enum.doc, "// "), f"type {enum.name} = string", ""]
        lines += [f"// The values of {enum.name}.", "const ("]
        longest = max(len(enum.name + pascal(v)) for v in enum.values)
        lines += [f"\t{(enum.name + pascal(v)).ljust(longest)} {enum.name} = \"{v}\"" for v in enum.values] + [")", ""]
    sent = api.reached(Type("ref", o.body.name) for o in api.operations if o.body)
    for one in sorted(sent + [one for one in api.answered() if one not in sent], key=lambda one: one.name):
        lines += struct(one, one in sent)
    for o in api.operations:
        lines += query(o) if o.query else []
        lines += method(o)
    return {"client.go": text(lines)}
