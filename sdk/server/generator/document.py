"""The OpenAPI document, as far as clients are made of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field


class Unfit(Exception):
    """The document says something that clients cannot be made of."""


@dataclass
class Type:
    """What a value may be. `kind` is a JSON type, `int64`, `any`, `binary`, `map`, `list` (both of `of`), `object`, or
    one of the document's own, by its name in `of`: `ref` or `enum`."""

    kind: str
    of: "Type | str | None" = None
    nullable: bool = False


@dataclass
class Field:
    """A member of an object, or an argument."""

    name: str
    type: Type
    required: bool
    doc: str
    # Whether 0 or "" is a value of its own, not the same as none.
    zero_counts: bool = False


@dataclass
class Object:
    name: str
    doc: str
    fields: list[Field]


@dataclass
class Enum:
    name: str
    doc: str
    values: list[str]


@dataclass
class Operation:
    name: str
    method: str
    path: str
    doc: str
    path_fields: list[Field]
    query: list[Field]
    body: Object | None
    answer: Type | None
    keyed: bool

    @property
    def arguments(self):
        """All arguments: those that are required first."""
        return sorted(self.path_fields + self.query + (self.body.fields if self.body else []), key=lambda f: not f.required)


@dataclass
class Api:
    version: str
    root: str
    operations: list[Operation]
    objects: dict[str, Object] = field(default_factory=dict)
    enums: dict[str, Enum] = field(default_factory=dict)

    def types(self):
        """Every type that stands anywhere."""
        waiting = [o.answer for o in self.operations if o.answer]
        waiting += [f.type for o in self.operations for f in o.arguments]
        waiting += [f.type for one in self.objects.values() for f in one.fields]
        while waiting:
            kind = waiting.pop()
            yield kind
            waiting += [kind.of] if isinstance(kind.of, Type) else []

    def reached(self, types):
        """The objects that these types are made of, by name."""
        found, waiting = set(), list(types)
        while waiting:
            kind = waiting.pop()
            while isinstance(kind.of, Type):
                kind = kind.of
            if kind.kind == "ref" and kind.of in self.objects and kind.of not in found:
                found.add(kind.of)
                waiting += [f.type for f in self.objects[kind.of].fields]
        return [self.objects[name] for name in sorted(found)]

    def answered(self):
        return self.reached(o.answer for o in self.operations if o.answer)

    def nested(self):
        """Objects within bodies."""
        return self.reached(f.type for o in self.operations if o.body for f in o.body.fields)


def name_of(ref):
    return ref.removeprefix("#/components/schemas/")


def type_of(schema):
    if "$ref" in schema:
        return Type("ref", name_of(schema["$ref"]))
    if "oneOf" in schema:
        others = [one for one in schema["oneOf"] if one.get("type") != "null"]
        if len(others) != 1:
            raise Unfit(f"a choice between schemas: {schema}")
        return Type(**{**vars(type_of(others[0])), "nullable": True})
    names = schema.get("type", [])
    names = [names] if isinstance(names, str) else names
    plain, nullable = [n for n in names if n != "null"], "null" in names
    if len(plain) != 1:
        return Type("any", None, nullable)
    kind = plain[0]
    if kind == "array":
        return Type("list", type_of(schema["items"]), nullable)
    if kind == "object":
        values = schema.get("additionalProperties")
        return Type("map", type_of(values), nullable) if isinstance(values, dict) else Type("object", None, nullable)
    if kind == "string" and schema.get("format") == "binary":
        return Type("binary")
    if kind == "integer" and (schema.get("format") == "int64" or schema.get("maximum", 0) >= 1 << 31):
        return Type("int64", None, nullable)
    if kind not in ("string", "integer", "number", "boolean"):
        raise Unfit(f"an unknown type: {schema}")
    return Type(kind, None, nullable)


def doc_of(schema):
    doc = " ".join(schema.get("description", "").split())
    if not doc and "oneOf" in schema:
        doc = " ".join(one.get("description", "") for one in schema["oneOf"]).strip()
    if "enum" in schema:
        doc = f"{doc.rstrip('.')}: {', '.join(schema['enum'])}."
    return doc


def object_of(name, schema):
    fields, required = [], schema.get("required", [])
    for member, inner in schema.get("properties", {}).items():
        kind = type_of(inner)
        zero = kind.kind == "string" and not inner.get("minLength") and "pattern" not in inner
        counts = zero and (kind.nullable or "minProperties" in schema)
        # Also where 0 is none that the server takes: it is refused, and never what is meant by leaving it out.
        counts = counts or kind.kind in ("integer", "int64") and member not in required
        fields.append(Field(member, kind, member in required, doc_of(inner), counts))
    # `required` has the order in which the server thinks of them.
    fields.sort(key=lambda f: required.index(f.name) if f.required else len(required))
    return Object(name, doc_of(schema), fields)


def operation_of(path, method, said, schemas):
    name = said.get("operationId") or ""
    if not re.fullmatch(r"[a-z][A-Za-z]*", name):
        raise Unfit(f"{method} {path} has no operationId that can be a method's name")
    places = {"path": [], "query": []}
    keyed = False
    for one in said.get("parameters", []):
        if one["in"] == "header" and one["name"] == "Idempotency-Key":
            keyed = True
        elif one["in"] in places:
            doc = doc_of({"enum": one["schema"]["enum"]} | one if "enum" in one["schema"] else one)
            places[one["in"]].append(Field(one["name"], type_of(one["schema"]), one.get("required", False), doc))
        else:
            raise Unfit(f"{name}: a parameter in {one['in']}: {one['name']}")
    if re.findall(r"\{(\w+)\}", path) != [f.name for f in places["path"]]:
        raise Unfit(f"{name}: the parameters of {path} are {[f.name for f in places['path']]}")
    body = None
    if "requestBody" in said:
        ref = said["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        body = object_of(name_of(ref), schemas[name_of(ref)])
    answer = None
    for status, response in said["responses"].items():
        if status.startswith("2") and response.get("content"):
            [content] = response["content"].values()
            answer = type_of(content["schema"])
    doc = " ".join(f"{said.get('summary', '')} {said.get('description', '')}".split())
    return Operation(name, method.upper(), path, doc, places["path"], places["query"], body, answer, keyed)


def read(document):
    if not str(document.get("openapi", "")).startswith("3.1."):
        raise Unfit("this is no OpenAPI 3.1 document")
    schemas = document["components"]["schemas"]
    missing = {name_of(ref) for ref in re.findall(r'"#/components/schemas/[^"]+', json.dumps(document))}
    missing = {name.removeprefix('"#/components/schemas/') for name in missing} - set(schemas)
    if missing:
        raise Unfit(f"schemas that do not exist: {', '.join(sorted(missing))}")
    operations = [
        operation_of(path, method, said, schemas)
        for path, item in document["paths"].items()
        for method, said in item.items()
        if method in ("get", "put", "post", "patch", "delete")
    ]
    names = [o.name for o in operations]
    if len(names) != len(set(names)):
        raise Unfit("two operations have the same operationId")
    for operation in operations:
        arguments = [f.name for f in operation.arguments]
        if len(arguments) != len(set(arguments)):
            raise Unfit(f"{operation.name}: two arguments have the same name")
    api = Api(document["info"]["version"], document["servers"][0]["url"].rstrip("/"), operations)
    for name, schema in schemas.items():
        if "enum" in schema:
            api.enums[name] = Enum(name, doc_of(schema), schema["enum"])
        else:
            api.objects[name] = object_of(name, schema)
    for kind in api.types():
        if kind.kind == "ref" and kind.of in api.enums:
            kind.kind = "enum"
    return api
