"""template.yaml and the templates that it nests, for programs that ask what is deployed.

`read_template` gives them as one: what the outer template hands to an inner one stands in the place of the inner one's
parameter, and what an inner one gives away in the place of its output. Where the outer one takes either what it nests or what
another stack exports, it is what it nests.
"""

import re
from collections.abc import Callable
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "template.yaml"
NESTED = "AWS::CloudFormation::Stack"
SECTIONS = ("Parameters", "Rules", "Mappings", "Conditions", "Resources", "Outputs")
NAME = re.compile(r"\$\{([A-Za-z0-9:.]+)\}")


class Call(dict):
    """A function of CloudFormation: `{tag: value}`."""


class Loader(yaml.SafeLoader):
    """Reads a template; what CloudFormation would fill in is a `Call`."""


def call(loader: Loader, tag: str, node) -> Call:
    if isinstance(node, yaml.ScalarNode):
        return Call({tag: loader.construct_scalar(node)})
    if isinstance(node, yaml.SequenceNode):
        return Call({tag: loader.construct_sequence(node, deep=True)})
    return Call({tag: loader.construct_mapping(node, deep=True)})


Loader.add_multi_constructor("!", call)


def read(path: Path) -> dict:
    """One template, as it is written."""
    return parse(path.read_text(encoding="utf-8"))


def parse(text: str) -> dict:
    return yaml.load(text, Loader)


def nested(template: dict, path: Path) -> dict[str, Path]:
    """The templates that it nests, by the name of the resource."""
    return {
        name: path.parent / resource["Properties"]["TemplateURL"]
        for name, resource in template["Resources"].items() if resource["Type"] == NESTED
    }


def files(path: Path = TEMPLATE) -> list[Path]:
    """A template and all that it nests."""
    return [path, *(file for inner in nested(read(path), path).values() for file in files(inner))]


def read_template(path: Path = TEMPLATE) -> dict:
    """A template and all that it nests, as one."""
    outer = made_here(read(path))
    whole = {section: dict(outer.get(section, {})) for section in SECTIONS} | {
        section: content for section, content in outer.items() if section not in SECTIONS
    }
    outputs = {}
    for name, file in nested(outer, path).items():
        resource = whole["Resources"].pop(name)
        inner = read_template(file)
        given = resource["Properties"].get("Parameters", {})
        if unknown := given.keys() - inner["Parameters"].keys():
            raise ValueError(f"{file.name} has no parameter {', '.join(sorted(unknown))}")
        inner["Parameters"] = {key: parameter for key, parameter in inner["Parameters"].items() if key not in given}
        outputs |= {f"{name}.Outputs.{key}": replaced(output["Value"], given.get) for key, output in inner.pop("Outputs").items()}
        if condition := resource.get("Condition"):
            for part in inner["Resources"].values():
                if own := part.get("Condition"):
                    both = [Call({"Condition": condition}), Call({"Condition": own})]
                    inner["Conditions"][f"{condition}{own}"] = Call({"And": both})
                part["Condition"] = f"{condition}{own or ''}"
        for section, content in replaced(inner, given.get).items():
            if section not in SECTIONS:
                if whole.setdefault(section, content) != content and section not in ("Description", "Metadata"):
                    raise ValueError(f"{file.name} has another {section} than {path.name}")
                continue
            if twice := [key for key in content if whole[section].get(key, content[key]) != content[key]]:
                raise ValueError(f"{file.name} and {path.name} both have {section} {', '.join(twice)}, and they differ")
            whole[section] |= content
    # What one gives away may be what another one gave to it.
    for _ in outputs:
        outputs = {key: replaced(value, outputs.get) for key, value in outputs.items()}
    return replaced(whole, outputs.get)


def replaced(value, known: Callable):
    """The same with what is known by its name in place of the names; names of attributes and outputs have their dots."""
    if isinstance(value, list):
        return [replaced(item, known) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value, Call):
        (tag, inner), = value.items()
        if tag in ("Ref", "GetAtt"):
            found = known(inner if isinstance(inner, str) else ".".join(inner))
            return value if found is None else found
        if tag == "Sub" and isinstance(inner, str):
            return Call({"Sub": NAME.sub(lambda match: written(match, known), inner)})
        return Call({tag: replaced(inner, known)})
    return {key: replaced(inner, known) for key, inner in value.items()}


def written(match: re.Match, known: Callable) -> str:
    """What stands for a name within a text."""
    found = known(match[1])
    if found is None:
        return match[0]
    if not isinstance(found, Call):
        return str(found)
    (tag, inner), = found.items()
    if tag == "Sub":
        return inner
    if tag in ("Ref", "GetAtt"):
        return f"${{{inner}}}"
    raise ValueError(f"${{{match[1]}}} stands in a text, and is !{tag} outside")


def made_here(value):
    """The same, where it takes either what is made here or what another stack exports, with the former."""
    if isinstance(value, list):
        return [made_here(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "If" in value:
        condition, first, second = map(made_here, value["If"])
        if imports(first) != imports(second):
            return second if imports(first) else first
        return Call({"If": [condition, first, second]})
    return type(value)({key: made_here(inner) for key, inner in value.items()})


def imports(value) -> bool:
    """Whether it takes something that another stack exports."""
    if isinstance(value, dict) and "Fn::ImportValue" in value:
        return True
    inner = value if isinstance(value, list) else value.values() if isinstance(value, dict) else []
    return any(map(imports, inner))


def as_json(value):
    """A template in CloudFormation's own form."""
    if isinstance(value, list):
        return [as_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value, Call):
        (tag, inner), = value.items()
        if tag == "GetAtt" and isinstance(inner, str):
            inner = inner.split(".", 1)
        return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": as_json(inner)}
    return {key: as_json(inner) for key, inner in value.items()}
