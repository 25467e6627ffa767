//! What a call may have in its body, as tables. Names are checked by them, secrets are found by them, and the API's
//! description is made of them.

use serde_json::{Map, Value, json};

use super::LONGEST_IMAGE;

/// A parameter of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What its value is.
    pub form: ParameterForm,
    /// Whether a call without it is refused, whatever the rest of it says.
    pub is_required: bool,
    /// What it is for, as users read it.
    pub about: &'static str,
}

/// What the value of a parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterForm {
    /// A text.
    Text,
    /// A pull spec.
    Image,
    /// Texts.
    Texts,
    /// Pull specs.
    Images,
    /// Yes or no.
    Flag,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// An object of texts.
    TextsByName,
    /// A text that is a secret: it is no part of the request, and comes with it.
    Secret,
    /// Logins for registries, which are secret, too.
    Logins,
    /// A secret that is dropped: today's service has no use for it any more.
    Dropped,
    /// Taken for clients of today's service, without effect.
    NoEffect,
}

impl Parameter {
    /// One that a call may have.
    pub(crate) const fn optional(
        name: &'static str,
        form: ParameterForm,
        about: &'static str,
    ) -> Self {
        Self {
            name,
            form,
            is_required: false,
            about,
        }
    }

    /// One that a call has to have.
    pub(crate) const fn required(
        name: &'static str,
        form: ParameterForm,
        about: &'static str,
    ) -> Self {
        Self {
            name,
            form,
            is_required: true,
            about,
        }
    }

    /// The schema of its value (JSON Schema 2020-12). It says what a client should send: of what counts as nothing, an
    /// empty text where a list belongs for example, it says nothing.
    pub fn schema(&self) -> Value {
        let image = || json!({"type": "string", "maxLength": LONGEST_IMAGE});
        let secret = || json!({"type": "string", "format": "password", "writeOnly": true});
        let mut schema = match self.form {
            ParameterForm::Text => json!({"type": "string"}),
            ParameterForm::Image => image(),
            ParameterForm::Texts => json!({"type": "array", "items": {"type": "string"}}),
            ParameterForm::Images => json!({"type": "array", "items": image()}),
            ParameterForm::Flag => json!({"type": "boolean"}),
            ParameterForm::OneOf(names) => json!({"type": "string", "enum": names}),
            ParameterForm::TextsByName => {
                json!({"type": "object", "additionalProperties": {"type": "string"}})
            }
            ParameterForm::Secret => secret(),
            ParameterForm::Logins => json!({
                "type": "object",
                "writeOnly": true,
                "required": ["auths"],
                "additionalProperties": false,
                "properties": {
                    "auths": {
                        "type": "object",
                        "minProperties": 1,
                        "additionalProperties": {
                            "type": "object",
                            "required": ["auth"],
                            "additionalProperties": false,
                            "properties": {"auth": secret()},
                        },
                    },
                },
            }),
            ParameterForm::Dropped => secret(),
            ParameterForm::NoEffect => json!({"type": "boolean"}),
        };
        schema["description"] = self.about.into();
        if matches!(self.form, ParameterForm::Dropped | ParameterForm::NoEffect) {
            schema["deprecated"] = true.into();
        }
        schema
    }

    /// Whether its value comes with the request, and is kept where secrets are.
    pub fn is_kept_secret(&self) -> bool {
        matches!(self.form, ParameterForm::Secret | ParameterForm::Logins)
    }

    /// Whether its value is one.
    pub fn is_secret(&self) -> bool {
        self.is_kept_secret() || self.form == ParameterForm::Dropped
    }
}

/// The parameters of an endpoint, some of which others have, too.
#[derive(Debug, Clone, Copy)]
pub struct Parameters {
    /// Its own, and those that it shares.
    pub(crate) groups: &'static [&'static [Parameter]],
    /// An older one, which may stand in the place of the first.
    pub older: Option<&'static Parameter>,
}

impl Parameters {
    pub(crate) const fn of(groups: &'static [&'static [Parameter]]) -> Self {
        Self {
            groups,
            older: None,
        }
    }

    /// All of them, but for the older one.
    pub fn iter(&self) -> impl Iterator<Item = &'static Parameter> {
        self.groups.iter().copied().flatten()
    }

    /// The schema of a body that has them.
    pub fn schema(&self) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        let first = self.iter().next().map(|parameter| parameter.name);
        for parameter in self.iter().chain(self.older) {
            properties.insert(parameter.name.to_owned(), parameter.schema());
            let has_another = self.older.is_some()
                && (Some(parameter.name) == first || Some(parameter) == self.older);
            if parameter.is_required && !has_another {
                required.push(parameter.name);
            }
        }
        let mut schema = json!({
            "type": "object",
            "required": required,
            "additionalProperties": false,
            "properties": properties,
        });
        if let Some(older) = self.older {
            schema["oneOf"] = json!([{"required": [first]}, {"required": [older.name]}]);
        }
        schema
    }

    /// The names of those whose values are kept where secrets are.
    pub fn secrets(&self) -> impl Iterator<Item = &'static str> {
        let secrets = self.iter().filter(|parameter| parameter.is_kept_secret());
        secrets.map(|parameter| parameter.name)
    }
}
