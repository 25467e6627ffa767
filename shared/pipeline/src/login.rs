//! The logins that come with a request (worker flows §3).

use iib_oci::{PullSpec, Repository};
use iib_ports::{GivenLogin, Keyring, Login, Secret};
use iib_request::{Record, Request};

use crate::{Deps, InputError, StageError, WorkError};

/// The parameters that bring a login for the index that is overwritten.
const TOKENS: [&str; 2] = ["overwrite_from_index_token", "overwrite_target_index_token"];

/// The logins of a request.
///
/// # Errors
/// [`InputError::TokenGone`], [`InputError::Token`], [`WorkError::Secret`].
pub(crate) async fn keyring(deps: &Deps, record: &Record) -> Result<Keyring, StageError> {
    let mut tokens = TOKENS
        .iter()
        .filter_map(|name| Some((name, record.secrets.get(*name)?)));
    let Some((name, reference)) = tokens.next() else {
        return Ok(Keyring::Own);
    };
    let secret = deps
        .secrets
        .read(reference)
        .await
        .map_err(WorkError::Secret)?;
    let secret = secret.ok_or(InputError::TokenGone(name))?;
    let login = login(&secret).ok_or(InputError::Token(name))?;
    let specs = images_of(&record.request).into_iter();
    let specs: Vec<PullSpec> = specs.filter_map(|image| image.parse().ok()).collect();
    // Nobody but the index's own registry gets to see it.
    let registry = specs
        .first()
        .map(|index| index.repository().registry().to_owned());
    let of_registry = |spec: &&PullSpec| Some(spec.repository().registry()) == registry.as_deref();
    let logins = specs.iter().filter(of_registry).map(|spec| GivenLogin {
        scope: scope(spec.repository()),
        login: login.clone(),
    });
    Ok(Keyring::Given(logins.collect()))
}

/// The images that the login may be for: the index first, then what is put into it.
fn images_of(request: &Request) -> Vec<&str> {
    let fragments = match request {
        Request::FbcOperations(operations) => operations.fbc_fragments.as_slice(),
        _ => &[],
    };
    let index = request.overwritten().into_iter();
    index.chain(fragments.iter().map(String::as_str)).collect()
}

/// What a login for one image is shown to: its repository, or where that is right below the registry, the
/// registry (worker flows §3, table `docker_auth_key`).
fn scope(repository: &Repository) -> String {
    match repository.path().contains('/') {
        true => format!("{}/{}", repository.registry(), repository.path()),
        false => repository.registry().to_owned(),
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
    fn a_login_is_for_as_little_as_can_be() {
        for (image, wanted) in [
            ("quay.example/ns/repo:1", "quay.example/ns/repo"),
            ("quay.example/repo:1", "quay.example"),
            ("localhost:5000/repo:1", "localhost:5000"),
            ("localhost:5000/ns/repo:1", "localhost:5000/ns/repo"),
            ("a.b/c/d/e/f:1", "a.b/c/d/e/f"),
        ] {
            let spec: PullSpec = image.parse().unwrap();
            assert_eq!(scope(spec.repository()), wanted);
        }
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
