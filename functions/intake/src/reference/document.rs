//! The description of the API as a document (OpenAPI 3.1.1).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use http::StatusCode;
use iib_request::{BATCHES, KINDS, Patch, Rollback, Stub, shown_requests};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::operation::{Answer, Operation, Parameter, Place};
use super::{PREFIX, call_of, shown_of};
use crate::endpoint::Endpoints;
use crate::problem::types::{ProblemType, TYPES};

/// Where components with schemas are.
const SCHEMAS: &str = "/components/schemas";

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| document(&Endpoints::of_the_api().and(Endpoints::of_a_process())));

/// The description of the API, of a service at `/api/v1`.
pub fn openapi_document() -> &'static Value {
    &DOCUMENT
}

/// The same of a service that is at this address.
pub(crate) fn at(base: &str) -> Value {
    let mut document = DOCUMENT.clone();
    document["servers"] = json!([{"url": format!("{base}{PREFIX}")}]);
    document
}

fn document(endpoints: &Endpoints) -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let settings = settings.with(|settings| {
        settings.definitions_path = SCHEMAS.into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for endpoint in endpoints.iter() {
        let path = endpoint.path.strip_prefix(PREFIX);
        let method = endpoint.operation.method.as_str().to_ascii_lowercase();
        let methods = paths.entry(path.unwrap_or(&endpoint.path)).or_default();
        methods.insert(method, operation(&endpoint.operation, &mut generator));
    }
    let mut schemas = own_schemas(&mut generator);
    schemas.extend(generator.take_definitions(true));
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "IIB Serverless",
            "summary": "Index images of operators, built on request.",
            "description": "Requests are taken, worked on, and can be followed until they are complete. Every answer that is an error is `{\"error\": \"<text>\"}`, or a problem document (RFC 9457) for clients that accept `application/problem+json`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{"url": PREFIX}],
        // Who calls is known by one of these, or need not be: that is a matter of the settings.
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": errors(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of the issuer that the settings of the service name. A proxy in front of it may let users in otherwise, by Kerberos for example.",
                },
            },
        },
    })
}

fn operation(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let mut said = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "responses": answers(operation, generator),
    });
    if !operation.about.is_empty() {
        said["description"] = operation.about.into();
    }
    if operation.is_deprecated {
        said["deprecated"] = true.into();
    }
    if !operation.parameters.is_empty() {
        said["parameters"] = operation.parameters.iter().map(parameter).collect();
    }
    if let Some(body) = &operation.body {
        said["requestBody"] = json!({
            "required": body.is_required,
            "content": {"application/json": {"schema": body.schema.schema(generator), "example": body.example}},
        });
    }
    said
}

fn parameter(parameter: &Parameter) -> Value {
    let place = match parameter.place {
        Place::Path => "path",
        Place::Query => "query",
        Place::Header => "header",
    };
    json!({
        "name": parameter.name,
        "in": place,
        "required": parameter.place == Place::Path,
        "description": parameter.about,
        "schema": parameter.schema,
    })
}

fn answers(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let mut answers = Map::new();
    let Answer {
        status,
        about,
        content,
        headers,
    } = &operation.answer;
    let content = content.iter().map(|(media_type, content)| {
        let content = json!({"schema": content.schema(generator)});
        ((*media_type).to_owned(), content)
    });
    let content: Map<String, Value> = content.collect();
    let mut good = json!({"description": about, "content": content});
    for (name, about) in headers {
        good["headers"][name] = json!({"description": about, "schema": {"type": "string"}});
    }
    answers.insert(status.as_str().to_owned(), good);
    for (status, about) in &operation.others {
        answers.insert(status.as_str().to_owned(), json!({"description": about}));
    }
    // Of every call, whatever it asks for.
    let always = [
        StatusCode::MISDIRECTED_REQUEST,
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::PAYLOAD_TOO_LARGE,
    ];
    for status in operation.errors.iter().chain(&always) {
        let reference = json!({"$ref": format!("#/components/responses/{}", status.as_str())});
        answers.insert(status.as_str().to_owned(), reference);
    }
    answers.into()
}

/// Errors by their status.
fn errors() -> Map<String, Value> {
    let statuses: BTreeSet<StatusCode> = TYPES.iter().map(|kind| kind.status).collect();
    let error = |status: StatusCode| {
        let kinds = TYPES.iter().filter(|kind| kind.status == status);
        let kinds: Vec<&ProblemType> = kinds.copied().collect();
        let lines = kinds.iter().map(|kind| {
            let ProblemType { name, title, .. } = kind;
            format!("- `{name}`: {title}.\n")
        });
        let names = kinds.iter().map(|kind| format!("/problems/{}", kind.name));
        let names: Vec<String> = names.collect();
        let answer = json!({
            "description": format!("One of these:\n\n{}", lines.collect::<String>()),
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/Error"}},
                "application/problem+json": {
                    "schema": {
                        "allOf": [{"$ref": "#/components/schemas/Problem"}],
                        "properties": {"type": {"enum": names}},
                    },
                },
            },
        });
        (status.as_str().to_owned(), answer)
    };
    statuses.into_iter().map(error).collect()
}

/// Schemas that are made here, and not of a type.
fn own_schemas(generator: &mut SchemaGenerator) -> Map<String, Value> {
    let mut schemas = Map::new();
    let reference = |name: &str| json!({"$ref": format!("#{SCHEMAS}/{name}")});
    for kind in &KINDS {
        schemas.insert(call_of(kind.name), kind.parameters.schema());
    }
    let rollback = Rollback::PARAMETERS.schema();
    schemas.insert(call_of("rollback"), rollback);
    for batch in &BATCHES {
        let kinds = batch
            .kinds
            .iter()
            .map(|kind| reference(&call_of(kind.name)));
        let kinds: Vec<Value> = kinds.collect();
        schemas.insert(call_of(batch.name), batch.schema(&kinds));
    }
    schemas.insert(call_of("patch"), Patch::schema());
    let mut kinds = Vec::new();
    let mut mapping = Map::new();
    for (name, schema) in shown_requests(generator) {
        let component = shown_of(name);
        kinds.push(reference(&component));
        let path = format!("#{SCHEMAS}/{component}");
        mapping.insert(name.to_owned(), path.into());
        schemas.insert(component, schema.to_value());
    }
    schemas.insert(
        "Request".to_owned(),
        json!({
            "description": "A request. What it shows besides depends on its kind.",
            "oneOf": kinds,
            "discriminator": {"propertyName": "request_type", "mapping": mapping},
        }),
    );
    let stub = generator.subschema_for::<Stub>().to_value();
    schemas.insert(
        "Listed".to_owned(),
        json!({
            "description": "A request in a listing; of one whose record this version cannot read, that it is there.",
            "anyOf": [reference("Request"), stub],
        }),
    );
    schemas.insert(
        "Error".to_owned(),
        json!({
            "description": "What is wrong.",
            "type": "object",
            "required": ["error"],
            "additionalProperties": false,
            "properties": {"error": {"type": "string"}},
        }),
    );
    schemas.insert(
        "Problem".to_owned(),
        json!({
            "description": "What is wrong, as RFC 9457 has it. The type has a page at its address.",
            "type": "object",
            "required": ["type", "title", "status", "detail", "instance"],
            "properties": {
                "type": {"type": "string", "format": "uri-reference"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string", "description": "The text that is `error` otherwise."},
                "instance": {"type": "string", "format": "uri-reference"},
                "field": {"type": "string", "description": "The parameter that it is about."},
            },
        }),
    );
    schemas
}
