//! What a registry asks for in `WWW-Authenticate`.

use http_auth::{ChallengeRef, parse_challenges};

/// A challenge this client can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User name and password with every request.
    Basic,
    /// A token from a token server (distribution's token authentication).
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

impl Challenge {
    /// The best of the challenges in these header lines, each of which can hold several: a token
    /// before a password, because it is good for less. Lines and schemes that cannot be read
    /// are passed over.
    pub(crate) fn choose<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut basic = None;
        for line in lines {
            for challenge in parse_challenges(line).unwrap_or_default() {
                if challenge.scheme.eq_ignore_ascii_case("bearer")
                    && let Some(realm) = param(&challenge, "realm")
                {
                    return Some(Self::Bearer {
                        realm,
                        service: param(&challenge, "service"),
                    });
                }
                if challenge.scheme.eq_ignore_ascii_case("basic") {
                    basic = Some(Self::Basic);
                }
            }
        }
        basic
    }
}

fn param(challenge: &ChallengeRef<'_>, name: &str) -> Option<String> {
    let (_, value) = challenge
        .params
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    Some(value.to_unescaped()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_challenge_of_all_lines_is_chosen() {
        let bearer = |service: Option<&str>| {
            Some(Challenge::Bearer {
                realm: "https://auth.example/token".to_owned(),
                service: service.map(str::to_owned),
            })
        };
        for (lines, expect) in [
            (vec![], None),
            (vec![r#"Basic realm="r""#], Some(Challenge::Basic)),
            (vec!["basic"], Some(Challenge::Basic)),
            (
                vec![
                    r#"Bearer realm="https://auth.example/token",service="reg",scope="repository:a:pull,push""#,
                ],
                bearer(Some("reg")),
            ),
            (
                vec![r#"BEARER Realm="https://auth.example/token", error="insufficient_scope""#],
                bearer(None),
            ),
            (
                vec![
                    r#"Basic realm="x", Bearer realm="https://auth.example/token", service="reg""#,
                ],
                bearer(Some("reg")),
            ),
            (
                vec![
                    r#"Negotiate"#,
                    r#"Bearer realm="https://auth.example/token""#,
                    r#"Basic realm="x""#,
                ],
                bearer(None),
            ),
            (
                vec![r#"Bearer service="reg""#, "Basic realm=x"],
                Some(Challenge::Basic),
            ),
            (vec!["Bearer realm=\"unclosed", "Digest realm=\"x\""], None),
            (vec!["", ",,,", "="], None),
        ] {
            assert_eq!(
                Challenge::choose(lines.iter().copied()),
                expect,
                "{lines:?}"
            );
        }
    }
}
