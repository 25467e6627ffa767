#!/usr/bin/env python3
"""Whether the API of docs/openapi.json still does for clients what it did: what they may send is taken, and what they
read is there. Compared are all documents of the same version in the history of the repository. A change that breaks
clients is made with another version of the workspace (Cargo.toml), in CHANGELOG.md with what to do about it.

The tools that are about know OpenAPI 3.0 only, or are programs of another language's package registry; and of JSON
Schema our documents have a small part. See docs/adr/0028-one-table-of-calls.md.
"""

import copy
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent
DOCUMENT = "docs/openapi.json"
# What bounds a value from below, and from above.
LOWER = ("minimum", "minLength", "minItems", "minProperties")
UPPER = ("maximum", "maxLength", "maxItems", "maxProperties")


class Schemas:
    """Compares schemas of two documents."""

    def __init__(self, wide, narrow):
        self.wide, self.narrow = wide, narrow
        self.seen = set()

    def accepts(self, wide, narrow, where, is_read):
        """Why the schema `wide` does not take all that the schema `narrow` takes. Where it `is_read`, nothing may be
        missing either that clients may look at."""
        key = (json.dumps(wide, sort_keys=True), json.dumps(narrow, sort_keys=True), is_read)
        if key in self.seen:
            return
        self.seen.add(key)
        wide, narrow = resolved(self.wide, wide), resolved(self.narrow, narrow)
        if not (types(wide) >= types(narrow)):
            yield f"{where}: {shown(types(narrow))} where there was {shown(types(wide))}"
            return
        values = allowed(wide)
        if values is not None and not (allowed(narrow) is not None and allowed(narrow) <= values):
            yield f"{where}: other values than {shown(values)}"
        for name in LOWER + UPPER + ("pattern",):
            if name not in wide:
                continue
            bound = narrow.get(name)
            good = bound == wide[name]
            if name != "pattern" and bound is not None:
                good = bound >= wide[name] if name in LOWER else bound <= wide[name]
            if not good:
                yield f"{where}: {name} {bound} where there was {wide[name]}"
        yield from self.members(wide, narrow, where, is_read)
        if "items" in wide:
            yield from self.accepts(wide["items"], narrow.get("items", {}), f"{where}[]", is_read)
        extra = wide.get("additionalProperties")
        if isinstance(extra, dict):
            given = narrow.get("additionalProperties", {})
            given = given if isinstance(given, dict) else {}
            yield from self.accepts(extra, given, f"{where}.*", is_read)
        for each in alternatives(narrow):
            found = [list(Schemas(self.wide, self.narrow).accepts(other, each, where, is_read)) for other in alternatives(wide)]
            # An object of a new kind is left alone by clients that do not know it; a new value is none to them.
            is_new = is_read and ("$ref" in each or "properties" in each) and kind(self.narrow, each) not in [kind(self.wide, other) for other in alternatives(wide)]
            if alternatives(wide) and all(found) and not is_new:
                yield from min(found, key=len)
        if is_read:
            there = [kind(self.narrow, each) for each in alternatives(narrow)]
            for each in alternatives(wide):
                if kind(self.wide, each) not in there:
                    yield f"{where}: {kind(self.wide, each)} is gone"

    def members(self, wide, narrow, where, is_read):
        missing = set(wide.get("required", [])) - set(narrow.get("required", []))
        for name in sorted(missing):
            yield f"{where}.{name}: may be missing" if is_read else f"{where}.{name}: has to be given"
        before, now = wide.get("properties", {}), narrow.get("properties", {})
        for name, schema in now.items():
            if name in before:
                yield from self.accepts(before[name], schema, f"{where}.{name}", is_read)
            elif wide.get("additionalProperties") is False and not is_read:
                yield f"{where}.{name}: is not taken"
        if is_read:
            for name in before.keys() - now.keys() - missing:
                yield f"{where}.{name}: is gone"


def resolved(document, schema):
    while "$ref" in schema:
        at = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            at = at[part.replace("~1", "/").replace("~0", "~")]
        schema = at
    return schema


def types(schema):
    named = schema.get("type")
    every = {"null", "boolean", "integer", "number", "string", "array", "object"}
    if alternatives(schema) or named is None:
        return every
    return {named} if isinstance(named, str) else set(named)


def allowed(schema):
    if "const" in schema:
        return {json.dumps(schema["const"])}
    return {json.dumps(value) for value in schema["enum"]} if "enum" in schema else None


def alternatives(schema):
    return schema.get("oneOf") or schema.get("anyOf") or []


def kind(document, schema):
    """What tells an alternative from others: its name, or the values that some members always have."""
    if "$ref" in schema:
        return schema["$ref"]
    constants = {name: each["const"] for name, each in schema.get("properties", {}).items() if "const" in each}
    return json.dumps(constants or schema.get("const") or schema.get("type") or schema.get("required"), sort_keys=True)


def shown(values):
    return " or ".join(sorted(values))


def operations(document):
    return {
        (path, method): said
        for path, methods in document["paths"].items()
        for method, said in methods.items()
    }


def breaks(before, now):
    """What a client of the one misses in the other."""
    there = operations(now)
    for (path, method), said in operations(before).items():
        where = f"{method.upper()} {path}"
        if (path, method) not in there:
            yield f"{where}: is gone"
            continue
        other = there[path, method]
        sent, read = Schemas(now, before), Schemas(before, now)
        parameters = {(each["in"], each["name"]): each for each in other.get("parameters", [])}
        for each in said.get("parameters", []):
            found = parameters.pop((each["in"], each["name"]), None)
            if found is None:
                yield f"{where}: the parameter {each['name']} is gone"
                continue
            yield from sent.accepts(found["schema"], each["schema"], f"{where}: {each['name']}", False)
        for each in parameters.values():
            if each["required"]:
                yield f"{where}: the parameter {each['name']} has to be given"
        if "requestBody" in other:
            if "requestBody" not in said and other["requestBody"]["required"]:
                yield f"{where}: a body has to be given"
            for media_type, content in said.get("requestBody", {"content": {}})["content"].items():
                found = other["requestBody"]["content"].get(media_type)
                if found is None:
                    yield f"{where}: a body of {media_type} is not taken"
                else:
                    yield from sent.accepts(found["schema"], content["schema"], f"{where}: body", False)
        for status, answer in said["responses"].items():
            if "$ref" in answer:
                continue
            for media_type, content in answer.get("content", {}).items():
                found = other["responses"].get(status, {}).get("content", {}).get(media_type)
                if found is None:
                    yield f"{where}: no answer {status} of {media_type} any more"
                else:
                    yield from read.accepts(content["schema"], found["schema"], f"{where}: {status}", True)
    for name in sorted(error_types(before) - error_types(now)):
        yield f"errors of the type {name} are gone"


def error_types(document):
    answers = document["components"]["responses"].values()
    return {name for each in answers for name in each["content"]["application/problem+json"]["schema"]["properties"]["type"]["enum"]}


def history(version):
    """The documents of this version that were committed."""
    git = ["git", "-C", str(ROOT)]
    commits = subprocess.run([*git, "log", "--format=%H", "--", DOCUMENT], check=True, capture_output=True, text=True).stdout.split()
    for commit in commits:
        shown = subprocess.run([*git, "show", f"{commit}:{DOCUMENT}"], capture_output=True, text=True)
        if shown.returncode == 0:
            document = json.loads(shown.stdout)
            if document["info"]["version"] == version:
                yield commit, document


def check_itself(document):
    """That each of these is found, and that what does no harm is not."""
    def without(*path):
        def change(changed):
            at = changed
            for part in path[:-1]:
                at = at[part]
            del at[path[-1]]
        return change

    def put(value, *path):
        def change(changed):
            at = changed
            for part in path[:-1]:
                at = at[part]
            at[path[-1]] = value
        return change

    schemas = ("components", "schemas")
    harmful = {
        "a call is gone": without("paths", "/builds/{id}/plan"),
        "a parameter is gone": put([], "paths", "/builds/{id}/graph", "get", "parameters"),
        "something has to be sent": put(["organization"], *schemas, "AddCall", "required"),
        "something is not taken": without(*schemas, "AddCall", "properties", "organization"),
        "less is taken": put({"type": "string", "maxLength": 10}, *schemas, "RmCall", "properties", "from_index"),
        "another type is taken": put({"type": "integer"}, *schemas, "RmCall", "properties", "from_index"),
        "a member is gone": without(*schemas, "AddRequest", "properties", "logs"),
        "a member may be missing": put([], *schemas, "RmRequest", "required"),
        "a member is of another type": put({"type": "integer"}, *schemas, "RmRequest", "properties", "user"),
        "there is a new state": lambda d: d["components"]["schemas"]["State"]["oneOf"].append({"const": "paused", "type": "string"}),
        "a kind is gone": lambda d: d["components"]["schemas"]["Request"]["oneOf"].pop(),
        "an error is gone": lambda d: d["components"]["responses"]["404"]["content"]["application/problem+json"]["schema"]["properties"]["type"]["enum"].pop(),
    }
    harmless = {
        "nothing": lambda d: None,
        "a new call": put({"get": {"responses": {}}}, "paths", "/new"),
        "a new parameter": put({"type": "string"}, *schemas, "AddCall", "properties", "new"),
        "a new member": put({"type": "string"}, *schemas, "AddRequest", "properties", "new"),
        "a new kind": lambda d: d["components"]["schemas"]["Request"]["oneOf"].append({"$ref": "#/components/schemas/Stage"})
        or d["components"]["schemas"].update(Stage={"type": "object"}),
        "more is taken": put({"type": ["string", "null"]}, *schemas, "RmCall", "properties", "from_index"),
    }
    for name, change in [*harmful.items(), *harmless.items()]:
        changed = copy.deepcopy(document)
        change(changed)
        found = list(breaks(document, changed))
        if bool(found) != (name in harmful):
            raise SystemExit(f"api changes: the check itself fails: {name}: {found}")


def main():
    document = json.loads((ROOT / DOCUMENT).read_text(encoding="utf-8"))
    check_itself(document)
    compared, broken = 0, {}
    for commit, before in history(document["info"]["version"]):
        compared += 1
        for line in breaks(before, document):
            broken.setdefault(line, commit)
    for line, commit in broken.items():
        print(f"since {commit[:12]}: {line}")
    if broken:
        print("api changes: clients break; give the workspace another version if that is meant")
        sys.exit(1)
    print(f"api changes: none that breaks clients, {compared} documents compared")


if __name__ == "__main__":
    main()
