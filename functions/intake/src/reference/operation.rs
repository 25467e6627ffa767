//! What is said of a call.

use http::{Method, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

/// What is said of a call.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(super) method: Method,
    /// Its name, which clients that are generated call it by.
    pub(super) id: String,
    /// What it does, in a line.
    pub(super) summary: &'static str,
    /// What else there is to know.
    pub(super) about: &'static str,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<Body>,
    pub(super) answer: Answer,
    /// Further answers that are no errors.
    pub(super) others: Vec<(StatusCode, &'static str)>,
    /// The statuses of its errors, besides those of every call.
    pub(super) errors: Vec<StatusCode>,
    pub(super) is_deprecated: bool,
    /// Whether it looks at what requests have, for which the settings may ask who calls.
    pub(crate) is_guarded: bool,
}

/// Something that differs from call to call, outside of the body.
#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) schema: Value,
    pub(super) about: &'static str,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Path,
    Query,
    Header,
}

/// The body of a call.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    /// A schema of its own, or the name of one among the components.
    pub(super) schema: Content,
    /// Whether a call has to have it.
    pub(super) is_required: bool,
    /// Such a body.
    pub(super) example: Value,
}

/// What an answer has in it, or a body.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// What the component of this name says.
    Named(String),
    /// A list of that.
    Several(&'static str),
    /// What is made of this type.
    Of(fn(&mut SchemaGenerator) -> Schema),
    /// What this schema says.
    Schema(Value),
    /// A text.
    Text,
    /// Bytes.
    Bytes,
}

/// The answer to a call that does what it says.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(super) status: StatusCode,
    pub(super) about: &'static str,
    /// By media type.
    pub(super) content: Vec<(&'static str, Content)>,
    /// Headers, and what they say.
    pub(super) headers: Vec<(&'static str, &'static str)>,
}

impl Content {
    /// What is made of a type.
    pub(crate) fn of<T: JsonSchema>() -> Self {
        Self::Of(SchemaGenerator::subschema_for::<T>)
    }

    /// The component of this name.
    pub(crate) fn named(name: impl Into<String>) -> Self {
        Self::Named(name.into())
    }

    pub(super) fn schema(&self, generator: &mut SchemaGenerator) -> Value {
        let named = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
        match self {
            Self::Named(name) => named(name),
            Self::Several(name) => json!({"type": "array", "items": named(name)}),
            Self::Of(make) => make(generator).to_value(),
            Self::Schema(schema) => schema.clone(),
            Self::Text => json!({"type": "string"}),
            Self::Bytes => json!({}),
        }
    }
}

impl Answer {
    /// A JSON document.
    pub(crate) fn json(about: &'static str, content: Content) -> Self {
        Self::of("application/json", about, content)
    }

    /// A document of a media type.
    pub(crate) fn of(media_type: &'static str, about: &'static str, content: Content) -> Self {
        Self {
            status: StatusCode::OK,
            about,
            content: vec![(media_type, content)],
            headers: Vec::new(),
        }
    }

    /// The same, which may be of another media type, too.
    pub(crate) fn or(mut self, media_type: &'static str, content: Content) -> Self {
        self.content.push((media_type, content));
        self
    }

    /// The same with another status than 200.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The same with a header.
    pub(crate) fn with_header(mut self, name: &'static str, about: &'static str) -> Self {
        self.headers.push((name, about));
        self
    }
}

impl Parameter {
    /// A part of the path.
    pub(crate) fn path(name: &'static str, schema: Value, about: &'static str) -> Self {
        Self::at(Place::Path, name, schema, about)
    }

    /// A parameter of the query.
    pub(crate) fn query(name: &'static str, schema: Value, about: &'static str) -> Self {
        Self::at(Place::Query, name, schema, about)
    }

    /// A header.
    pub(crate) fn header(name: &'static str, schema: Value, about: &'static str) -> Self {
        Self::at(Place::Header, name, schema, about)
    }

    fn at(place: Place, name: &'static str, schema: Value, about: &'static str) -> Self {
        Self {
            name,
            place,
            schema,
            about,
        }
    }
}

impl Operation {
    /// A call that looks at something.
    pub(crate) fn read(id: impl Into<String>, summary: &'static str, answer: Answer) -> Self {
        Self {
            method: Method::GET,
            id: id.into(),
            summary,
            about: "",
            parameters: Vec::new(),
            body: None,
            answer,
            others: Vec::new(),
            errors: vec![
                StatusCode::UNAUTHORIZED,
                StatusCode::FORBIDDEN,
                StatusCode::SERVICE_UNAVAILABLE,
            ],
            is_deprecated: false,
            is_guarded: true,
        }
    }

    /// The same, which says nothing of requests: nobody has to be known for it.
    pub(crate) fn open(self) -> Self {
        Self {
            errors: Vec::new(),
            is_guarded: false,
            ..self
        }
    }

    /// A call that changes something: who calls has to be known, unless the settings let everybody in.
    pub(crate) fn change(
        method: Method,
        id: impl Into<String>,
        summary: &'static str,
        answer: Answer,
    ) -> Self {
        let read = Self {
            method,
            // It finds out by itself, in its own order.
            is_guarded: false,
            ..Self::read(id, summary, answer)
        };
        read.fails([StatusCode::BAD_REQUEST])
    }

    /// The same, of which there is more to say.
    pub(crate) fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    /// The same with parameters.
    pub(crate) fn with(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// The same with a body that has to be there.
    pub(crate) fn body(self, schema: Content, example: Value) -> Self {
        self.may_have_body(Body {
            schema,
            is_required: true,
            example,
        })
    }

    /// The same with a body that may be left out.
    pub(crate) fn optional_body(self, schema: Content, example: Value) -> Self {
        self.may_have_body(Body {
            schema,
            is_required: false,
            example,
        })
    }

    fn may_have_body(self, body: Body) -> Self {
        Self {
            body: Some(body),
            ..self
        }
        .fails([StatusCode::UNSUPPORTED_MEDIA_TYPE])
    }

    /// The same, which may be answered otherwise.
    pub(crate) fn or(mut self, status: StatusCode, about: &'static str) -> Self {
        self.others.push((status, about));
        self
    }

    /// The same, which may fail with these statuses.
    pub(crate) fn fails(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.errors.extend(statuses);
        self
    }

    /// The same, for clients of today's service only.
    pub(crate) fn deprecated(self) -> Self {
        Self {
            is_deprecated: true,
            ..self
        }
    }
}
