//! The logins that come with a request (worker flows §3).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use iib_oci::{PullSpec, PullSpecError, Repository};
use iib_ports::{GivenLogin, Keyring, Login, Secret};
use iib_request::{Record, Request};
use serde::Deserialize;

use crate::{Deps, InputError, StageError, WorkError};

/// The parameters that bring a login for the index that is overwritten, and those that name the index.
const TOKENS: [(&str, &str); 2] = [
    ("overwrite_from_index_token", "from_index"),
    ("overwrite_target_index_token", "target_index"),
];

/// The parameter that brings logins for all that is read.
const REGISTRY_AUTHS: &str = "registry_auths";

/// The logins of a request.
///
/// # Errors
/// [`InputError::TokenGone`], [`InputError::Token`], [`WorkError::Secret`]; those of
/// [`repository_of`] for the index.
pub(crate) async fn keyring(deps: &Deps, record: &Record) -> Result<Keyring, StageError> {
    if let Some(reference) = record.secrets.get(REGISTRY_AUTHS) {
        let secret = deps.secrets.read(reference).await;
        let secret = secret.map_err(WorkError::Secret)?;
        let secret = secret.ok_or(InputError::TokenGone(REGISTRY_AUTHS))?;
        return Ok(Keyring::Given(given(&secret)?));
    }
    let mut tokens = TOKENS
        .iter()
        .filter_map(|(name, field)| Some((name, field, record.secrets.get(*name)?)));
    let Some((name, field, reference)) = tokens.next() else {
        return Ok(Keyring::Own);
    };
    let secret = deps
        .secrets
        .read(reference)
        .await
        .map_err(WorkError::Secret)?;
    let secret = secret.ok_or(InputError::TokenGone(name))?;
    let login = login(&secret).ok_or(InputError::Token(name))?;
    let Some(index) = record.request.overwritten() else {
        return Ok(Keyring::Own);
    };
    let scopes = scopes(field, index, put_into(&record.request))?.into_iter();
    let logins = scopes.map(|scope| GivenLogin {
        scope,
        login: login.clone(),
    });
    Ok(Keyring::Given(logins.collect()))
}

/// The logins in `registry_auths`, which are what an auth file has of them: by host or by repository.
///
/// # Errors
/// [`InputError::RegistryAuth`] naming the first that is none.
fn given(auths: &Secret) -> Result<Vec<GivenLogin>, InputError> {
    let auths = serde_json::from_str::<Auths>(auths.expose());
    // It was checked when the request came in; what it holds is in no error.
    let auths = auths.map_err(|_| InputError::Token(REGISTRY_AUTHS))?.auths;
    let logins = auths.into_iter().map(|(scope, entry)| {
        let pair = BASE64.decode(entry.auth.trim()).ok();
        let pair = pair.and_then(|pair| String::from_utf8(pair).ok());
        match pair.and_then(|pair| login(&Secret::new(pair))) {
            Some(login) => Ok(GivenLogin { scope, login }),
            None => Err(InputError::RegistryAuth(scope)),
        }
    });
    logins.collect()
}

#[derive(Deserialize)]
struct Auths {
    auths: BTreeMap<String, Auth>,
}

#[derive(Deserialize)]
struct Auth {
    auth: String,
}

/// What the login of an index is for: the index, and of the others those at its registry. Nobody else gets
/// to see it.
fn scopes(field: &'static str, index: &str, others: &[String]) -> Result<Vec<String>, InputError> {
    let index = repository_of(field, index)?;
    let mut scopes = vec![index.login_scope()];
    for other in others
        .iter()
        .filter_map(|other| other.parse::<PullSpec>().ok())
    {
        if other.repository().registry() == index.registry() {
            scopes.push(other.repository().login_scope());
        }
    }
    Ok(scopes)
}

/// The images that are put into the index, for which its login may be, too.
fn put_into(request: &Request) -> &[String] {
    match request {
        Request::FbcOperations(operations) => &operations.fbc_fragments,
        _ => &[],
    }
}

/// The repository of an image that a login comes for.
///
/// # Errors
/// [`InputError::NoRegistry`] for an image that names none; [`InputError::PullSpec`] naming the parameter.
pub(crate) fn repository_of(field: &'static str, image: &str) -> Result<Repository, InputError> {
    match image.parse::<PullSpec>() {
        Ok(spec) => Ok(spec.repository().clone()),
        Err(source @ PullSpecError::NoRegistry(_)) => Err(InputError::NoRegistry {
            image: image.to_owned(),
            source,
        }),
        Err(source) => Err(InputError::PullSpec { field, source }),
    }
}

/// A token is `user:password`.
fn login(token: &Secret) -> Option<Login> {
    let (user, password) = token.expose().split_once(':')?;
    Some(Login {
        user: user.to_owned(),
        password: Secret::new(password),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_of_an_index_is_shown_at_its_registry_only() {
        let others = ["r.example/team/one:1", "other.example/team/one:1", "one"];
        let others = others.map(str::to_owned);
        let scopes = |index| scopes("from_index", index, &others);
        assert_eq!(
            scopes("r.example/team/index:1").unwrap(),
            ["r.example/team/index", "r.example/team/one"]
        );
        // Nor is it where the index has none.
        assert!(matches!(
            scopes("index:1"),
            Err(InputError::NoRegistry { .. })
        ));
    }

    #[test]
    fn logins_for_registries_are_those_of_an_auth_file() {
        let auths = |auth: &str| {
            Secret::new(format!(
                r#"{{"auths": {{"r.example/team": {{"auth": "{auth}"}}}}}}"#
            ))
        };
        let found = given(&auths(&BASE64.encode("ann:hunter:2"))).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (
                &*found[0].scope,
                &*found[0].login.user,
                found[0].login.password.expose()
            ),
            ("r.example/team", "ann", "hunter:2")
        );
        for wrong in ["%", &BASE64.encode("hunter2")] {
            let told = given(&auths(wrong)).unwrap_err().to_string();
            assert!(
                told.contains("r.example/team") && !told.contains(wrong),
                "{told}"
            );
        }
    }

    #[test]
    fn a_token_is_a_user_and_a_password() {
        let parts = |token: &str| {
            let login = login(&Secret::new(token))?;
            Some((login.user, login.password.expose().to_owned()))
        };
        assert_eq!(
            parts("user:pass:word"),
            Some(("user".into(), "pass:word".into()))
        );
        assert_eq!(parts("none"), None);
    }
}
