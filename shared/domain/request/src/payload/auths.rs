//! Logins that come with a call (spec rest-api §4.6).

use serde_json::Value;

use super::{Parameter, ParameterForm, Payload, is_truthy};
use crate::Refusal;
use crate::refusal::Rule;

/// The parameter whose value is a document with logins, in the form that Docker and podman write.
const REGISTRY_AUTHS: &str = "registry_auths";

/// That parameter.
pub(crate) const LOGINS: Parameter = Parameter::optional(
    REGISTRY_AUTHS,
    ParameterForm::Logins,
    "Logins for the registries that are read, in the form of the `auths` that Docker and podman write. They are kept apart from the request, until it has ended.",
);

/// Checks the form of the logins. What is in them stays out of every text, but for the hosts.
pub(crate) fn check_registry_auths(payload: &Payload) -> Result<(), Refusal> {
    let refused = |text: &str| Err(Refusal::new(Rule::Type, REGISTRY_AUTHS, text));
    let document = match payload.get(REGISTRY_AUTHS).filter(|value| is_truthy(value)) {
        None => return Ok(()),
        Some(Value::Object(document)) => document,
        Some(_) => return refused("\"registry_auths\" must be a dict"),
    };
    let auths = match document.get("auths") {
        Some(auths) if document.len() == 1 => auths,
        _ => return refused("\"registry_auths\" must contain single key \"auths\""),
    };
    let auths = match auths {
        Value::Object(auths) if !auths.is_empty() => auths,
        _ => return refused("\"registry_auths.auths\" must be a non-empty dict"),
    };
    match auths.iter().find(|(_, login)| !is_login(login)) {
        None => Ok(()),
        Some((host, _)) => refused(&format!(
            "{host} in registry_auths has auth value in incorrect format. See the API docs for details on the expected format"
        )),
    }
}

/// `{"auth": "<base64>"}` and nothing else.
fn is_login(value: &Value) -> bool {
    let Some(login) = value.as_object() else {
        return false;
    };
    let auth = login.get("auth").and_then(Value::as_str);
    login.len() == 1 && auth.is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn logins_have_one_form() {
        let check = |value: Value| {
            let payload = Payload::from_iter([(REGISTRY_AUTHS.to_owned(), value)]);
            check_registry_auths(&payload).map_err(|refused| refused.to_string())
        };
        for value in [
            json!(null),
            json!({}),
            json!({"auths": {"r.example": {"auth": "eDp5"}}}),
            json!({"auths": {"r.example": {"auth": "eDp5"}, "q.example": {"auth": "eDp5"}}}),
        ] {
            assert_eq!(check(value.clone()), Ok(()), "{value}");
        }
        for (value, told) in [
            (json!("x"), "must be a dict"),
            (json!([1]), "must be a dict"),
            (json!({"auth": {}}), "single key"),
            (
                json!({"auths": {"r.example": {"auth": "x"}}, "other": 1}),
                "single key",
            ),
            (json!({"auths": {}}), "non-empty dict"),
            (json!({"auths": "x"}), "non-empty dict"),
            (
                json!({"auths": {"r.example": {}}}),
                "r.example in registry_auths",
            ),
            (json!({"auths": {"r.example": {"auth": 3}}}), "r.example in"),
            (
                json!({"auths": {"r.example": {"auth": "s3cret", "email": "x"}}}),
                "r.example in",
            ),
            (json!({"auths": {"r.example": "s3cret"}}), "r.example in"),
        ] {
            let text = check(value.clone()).unwrap_err();
            assert!(
                text.contains(told) && !text.contains("s3cret"),
                "{value}: {text}"
            );
        }
    }
}
