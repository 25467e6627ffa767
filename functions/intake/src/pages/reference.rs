//! The description of the API as a page: what the document says, for people.

use askama::Template;
use axum::response::Response;
use serde_json::Value;

use super::{Root, filters, page};
use crate::openapi_document;
use crate::problem::Problem;
use crate::reference::PREFIX;

#[derive(Template)]
#[template(path = "docs.html")]
struct Docs<'a> {
    root: String,
    about: &'a str,
    calls: Vec<Call<'a>>,
    shapes: Vec<Shape<'a>>,
}

struct Call<'a> {
    id: &'a str,
    method: String,
    path: String,
    summary: &'a str,
    about: &'a str,
    is_deprecated: bool,
    tables: Vec<Table<'a>>,
    answers: Vec<Answer<'a>>,
    /// Statuses.
    errors: String,
    example: String,
}

/// Parameters, or members of a document.
struct Table<'a> {
    title: String,
    members: Vec<Member<'a>>,
}

struct Member<'a> {
    name: &'a str,
    is_required: bool,
    is_deprecated: bool,
    value: Type<'a>,
    about: &'a str,
}

struct Answer<'a> {
    status: &'a str,
    about: &'a str,
    content: Vec<(&'a str, Type<'a>)>,
}

/// A document that others name.
struct Shape<'a> {
    name: &'a str,
    about: &'a str,
    /// What it is, if it has no members of its own.
    value: Type<'a>,
    tables: Vec<Table<'a>>,
}

/// What a value is, in words.
type Type<'a> = Vec<Part<'a>>;

#[derive(Clone)]
enum Part<'a> {
    Text(&'a str),
    Code(String),
    Link(&'a str),
}

/// `GET /docs`.
pub(crate) async fn docs(Root(root): Root) -> Result<Response, Problem> {
    let document = openapi_document();
    let paths = members(&document["paths"]);
    let calls = paths.flat_map(|(path, methods)| {
        members(methods).map(move |(method, said)| call(path, method, said))
    });
    let shapes = members(&document["components"]["schemas"]);
    page(&Docs {
        root,
        about: text(&document["info"]["description"]),
        calls: calls.collect(),
        shapes: shapes.map(|(name, schema)| shape(name, schema)).collect(),
    })
}

fn call<'a>(path: &str, method: &str, said: &'a Value) -> Call<'a> {
    let mut tables = Vec::new();
    let parameters = said["parameters"].as_array();
    for (place, title) in [
        ("path", "In the path"),
        ("query", "In the query"),
        ("header", "Headers"),
    ] {
        let there = parameters.into_iter().flatten();
        let there = there.filter(|parameter| parameter["in"] == place);
        let members: Vec<Member<'_>> = there.map(parameter).collect();
        if !members.is_empty() {
            tables.push(Table {
                title: title.to_owned(),
                members,
            });
        }
    }
    let content = &said["requestBody"]["content"]["application/json"];
    let body = resolved(&content["schema"]);
    if let Some(table) = table("Body", body) {
        tables.push(table);
    }
    let (good, bad): (Vec<_>, Vec<_>) =
        members(&said["responses"]).partition(|(_, answer)| answer.get("$ref").is_none());
    let errors: Vec<&str> = bad.into_iter().map(|(status, _)| status.as_str()).collect();
    let path = format!("{PREFIX}{path}");
    let method = method.to_ascii_uppercase();
    Call {
        id: text(&said["operationId"]),
        example: example(&method, &path, &content["example"]),
        method,
        path,
        summary: text(&said["summary"]),
        about: text(&said["description"]),
        is_deprecated: said["deprecated"] == true,
        tables,
        answers: good.into_iter().map(answer).collect(),
        errors: errors.join(", "),
    }
}

fn parameter(said: &Value) -> Member<'_> {
    Member {
        name: text(&said["name"]),
        is_required: said["required"] == true,
        is_deprecated: said["deprecated"] == true,
        value: value_of(&said["schema"]),
        about: text(&said["description"]),
    }
}

fn answer<'a>((status, said): (&'a String, &'a Value)) -> Answer<'a> {
    let content = members(&said["content"]);
    let content = content.map(|(media_type, said)| {
        let value = match media_type.contains("json") {
            true => value_of(&said["schema"]),
            false => Type::new(),
        };
        (media_type.as_str(), value)
    });
    Answer {
        status,
        about: text(&said["description"]),
        content: content.collect(),
    }
}

/// A call as it is made on the command line.
fn example(method: &str, path: &str, body: &Value) -> String {
    let url = format!("https://iib.example{path}");
    match method {
        "GET" => format!("curl {url}"),
        _ if body.is_null() => format!("curl --request {method} {url}"),
        _ => format!(
            "curl --request {method} {url} --header 'Content-Type: application/json' \\\n  --data '{body:#}'"
        ),
    }
}

fn shape<'a>(name: &'a str, schema: &'a Value) -> Shape<'a> {
    let mut tables: Vec<Table<'_>> = table("Members", schema).into_iter().collect();
    // One of several, told apart by a member.
    let each = schema["oneOf"].as_array().into_iter().flatten();
    for each in each.filter(|each| each["properties"].is_object()) {
        let properties = members(&each["properties"]);
        let mut names = properties.filter_map(|(name, said)| Some((name, said["const"].as_str()?)));
        let title = match names.next() {
            Some((name, value)) => format!("Where {name} is {value}"),
            None => "Members".to_owned(),
        };
        tables.extend(table(&title, each));
    }
    Shape {
        name,
        about: text(&schema["description"]),
        value: match tables.is_empty() {
            true => value_of(schema),
            false => Type::new(),
        },
        tables,
    }
}

fn table<'a>(title: &str, schema: &'a Value) -> Option<Table<'a>> {
    let required = schema["required"].as_array();
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|n| n == name));
    let properties = schema["properties"].as_object()?;
    let members = properties.iter().map(|(name, said)| Member {
        name,
        is_required: is_required(name),
        is_deprecated: said["deprecated"] == true,
        value: value_of(said),
        about: text(&said["description"]),
    });
    Some(Table {
        title: title.to_owned(),
        members: members.collect(),
    })
}

/// The component that a schema is.
fn resolved(schema: &Value) -> &Value {
    match schema["$ref"].as_str() {
        Some(reference) => {
            let path = reference.trim_start_matches('#');
            openapi_document().pointer(path).unwrap_or(&Value::Null)
        }
        None => schema,
    }
}

fn value_of(schema: &Value) -> Type<'_> {
    if let Some(reference) = schema["$ref"].as_str() {
        let (_, name) = reference.rsplit_once('/').unwrap_or_default();
        return vec![Part::Link(name)];
    }
    if let Some(value) = schema.get("const") {
        return vec![Part::Code(value.to_string())];
    }
    if let Some(values) = schema["enum"].as_array() {
        return either(
            values
                .iter()
                .map(|value| vec![Part::Code(value.to_string())]),
        );
    }
    for several in ["oneOf", "anyOf"] {
        if let Some(schemas) = schema[several].as_array() {
            return either(schemas.iter().map(value_of));
        }
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        named => named.as_str().into_iter().collect(),
    };
    either(types.into_iter().map(|name| match name {
        "array" => {
            let mut list = vec![Part::Text("list of ")];
            list.extend(value_of(&schema["items"]));
            list
        }
        "object" if schema["additionalProperties"].is_object() => {
            let mut map = vec![Part::Text("object of ")];
            map.extend(value_of(&schema["additionalProperties"]));
            map
        }
        "integer" => vec![Part::Text("number")],
        "boolean" => vec![Part::Text("true or false")],
        "string" => vec![Part::Text("text")],
        other => vec![Part::Text(other)],
    }))
}

fn either<'a>(types: impl Iterator<Item = Type<'a>>) -> Type<'a> {
    let mut all = Type::new();
    for each in types {
        if !all.is_empty() {
            all.push(Part::Text(" or "));
        }
        all.extend(each);
    }
    all
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}
