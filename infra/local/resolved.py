"""template.yaml with parameters, sizes and conditions settled, for programs that stumble over them."""

from pathlib import Path

from templates import TEMPLATE, read_template


class Resolver:
    """What a template comes to with these parameters."""

    def __init__(self, template: dict, given: dict[str, str]):
        parameters = template.get("Parameters", {})
        if unknown := given.keys() - parameters.keys():
            raise ValueError(f"the template has no parameter {', '.join(sorted(unknown))}")
        self.values = {name: given.get(name, parameter.get("Default")) for name, parameter in parameters.items()}
        for name, parameter in parameters.items():
            if parameter["Type"] == "CommaDelimitedList":
                self.values[name] = self.values[name].split(",")
        self.maps = template.get("Mappings", {})
        self.conditions = template.get("Conditions", {})

    def holds(self, condition) -> bool:
        if isinstance(condition, str):
            return self.holds(self.conditions[condition])
        (tag, value), = condition.items()
        match tag:
            case "Equals":
                return str(self.of(value[0])) == str(self.of(value[1]))
            case "Not":
                return not self.holds(value[0])
            case "And":
                return all(map(self.holds, value))
            case "Or":
                return any(map(self.holds, value))
            case "Condition":
                return self.holds(value)
        raise ValueError(f"a condition with !{tag} is not known here")

    def of(self, value):
        """A value as it comes out; nothing for one that is left away."""
        if isinstance(value, list):
            found = [self.of(item) for item in value]
            return [item for item in found if item is not None]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (tag, inner), = value.items()
            if tag == "Ref":
                if inner == "AWS::NoValue":
                    return None
                return self.values.get(inner, {"Ref": inner})
            if tag == "FindInMap":
                name, first, second = map(self.of, inner)
                return self.maps[name][first][second]
            if tag == "If":
                return self.of(inner[1] if self.holds(inner[0]) else inner[2])
            if tag == "GetAtt":
                return {"Fn::GetAtt": inner.split(".", 1) if isinstance(inner, str) else inner}
            if tag == "Join":
                sign, parts = map(self.of, inner)
                known = isinstance(parts, list) and all(isinstance(part, str) for part in parts)
                return sign.join(parts) if known else {"Fn::Join": [sign, parts]}
            if tag in ("Sub", "Select", "Split"):
                return {f"Fn::{tag}": self.of(inner)}
        found = {key: self.of(inner) for key, inner in value.items()}
        return {key: inner for key, inner in found.items() if inner is not None}


def resolved(given: dict[str, str], path: Path = TEMPLATE) -> dict:
    """The template as CloudFormation has it in JSON, with the parameters' defaults or what is given in their place. What refers
    to resources stays as it is."""
    template = read_template(path)
    resolver = Resolver(template, given)
    resources = {
        name: {key: value for key, value in resource.items() if key != "Condition"}
        for name, resource in template["Resources"].items()
        if "Condition" not in resource or resolver.holds(resource["Condition"])
    }
    return {
        "AWSTemplateFormatVersion": str(template["AWSTemplateFormatVersion"]),
        "Transform": template["Transform"],
        "Globals": resolver.of(template.get("Globals", {})),
        "Resources": resolver.of(resources),
    }
