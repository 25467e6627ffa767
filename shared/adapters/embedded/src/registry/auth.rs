//! Who may use the registry.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use iib_oci::Digest;
use iib_ports::Secret;

use super::fault::Fault;

/// How callers prove who they are. One who did may do everything.
#[derive(Debug, Clone)]
pub enum Auth {
    /// Everybody may use the registry: for one that only this machine reaches.
    None,
    /// HTTP Basic, one user.
    Basic {
        /// Name of the user.
        user: String,
        /// The user's password.
        password: Secret,
    },
}

impl Auth {
    fn admits(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::None => true,
            Self::Basic { user, password } => {
                let expected = Secret::new(format!("{user}:{}", password.expose()));
                // Digests are compared, so that the time tells nothing about the password.
                credentials(headers).is_some_and(|given| {
                    Digest::of(&given) == Digest::of(expected.expose().as_bytes())
                })
            }
        }
    }
}

/// `user:password` of the Authorization header.
fn credentials(headers: &HeaderMap) -> Option<Vec<u8>> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    STANDARD.decode(encoded.trim()).ok()
}

/// Lets only those through who proved who they are.
pub(super) async fn require(State(auth): State<Auth>, request: Request, next: Next) -> Response {
    if !auth.admits(request.headers()) {
        return Fault::Unauthorized.into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, text.parse().unwrap())])
    }

    #[test]
    fn only_the_right_user_with_the_right_password_is_admitted() {
        let auth = Auth::Basic {
            user: "me".to_owned(),
            password: Secret::new("se:cret"),
        };
        let encode = |text: &str| STANDARD.encode(text);
        assert!(auth.admits(&header(&format!("Basic {}", encode("me:se:cret")))));
        assert!(auth.admits(&header(&format!("basic {}", encode("me:se:cret")))));
        for text in [
            format!("Basic {}", encode("me:secret")),
            format!("Basic {}", encode("you:se:cret")),
            format!("Basic {}", encode("")),
            format!("Bearer {}", encode("me:se:cret")),
            "Basic !!!".to_owned(),
            "Basic".to_owned(),
        ] {
            assert!(!auth.admits(&header(&text)), "{text}");
        }
        assert!(!auth.admits(&HeaderMap::new()));
        assert!(Auth::None.admits(&HeaderMap::new()));
    }
}
