//! Who calls.

use axum::extract::FromRequestParts;
use http::request::Parts;
use lambda_http::request::RequestContext;
use serde_json::Value;

use crate::api::Api;
use crate::problem::Problem;

/// The authenticated user of a call. Put into the extensions of a call by whoever authenticates
/// in front of the router; never taken from anything a client can write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User(pub String);

/// The user of a call that changes things, if there is one; without one it is refused unless
/// the settings say `login_disabled` (spec rest-api §2).
#[derive(Debug)]
pub(crate) struct Caller(pub(crate) Option<String>);

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let user = match parts.extensions.get::<User>() {
            Some(User(name)) => Some(name.clone()),
            None => parts.extensions.get().and_then(authorized),
        };
        let user = user.filter(|name| !name.is_empty());
        if user.is_none() && !api.intake.api.login_disabled {
            return Err(Problem::unauthorized());
        }
        Ok(Self(user))
    }
}

/// Whom the API Gateway has authorized: by a token (`username` or, as Cognito's identity tokens
/// have it, `cognito:username`, else `sub`), by a Lambda function (`username`, else
/// `principalId`), or by IAM (the ARN).
fn authorized(context: &RequestContext) -> Option<String> {
    let authorizer = context.authorizer()?;
    let claim = |name: &str| authorizer.jwt.as_ref()?.claims.get(name).cloned();
    let field = |name: &str| {
        let value = authorizer.fields.get(name);
        value.and_then(Value::as_str).map(str::to_owned)
    };
    claim("username")
        .or_else(|| claim("cognito:username"))
        .or_else(|| claim("sub"))
        .or_else(|| field("username"))
        .or_else(|| field("principalId"))
        .or_else(|| authorizer.iam.as_ref()?.user_arn.clone())
}
