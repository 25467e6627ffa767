//! `iib auth`.

use anyhow::Context as _;
use iib_edge::Config;
use iib_oci::{PullSpec, Repository};
use iib_registry::LoginSearch;
use serde_json::json;

use crate::Exit;
use crate::cli::AuthCommand;
use crate::say;
use crate::source::registry;

pub(crate) async fn run(command: &AuthCommand) -> anyhow::Result<Exit> {
    match command {
        AuthCommand::Explain { image, json } => explain(image, *json).await,
    }
}

async fn explain(image: &str, as_json: bool) -> anyhow::Result<Exit> {
    let repository = repository(image)?;
    let client = registry(&Config::from_env()?)?;
    let search = client.explain_login(&repository).await?;
    if as_json {
        let used = search.used().map(|place| &place.place);
        say::line(json!({
            "repository": repository.to_string(),
            "used": used,
            "places": search.places,
            "keys": search.keys,
        }))?;
    } else {
        say::text(shown(&repository, &search))?;
    }
    Ok(Exit::Done)
}

/// The repository of a pull spec, or that which a text is.
fn repository(text: &str) -> anyhow::Result<Repository> {
    if let Ok(spec) = text.parse::<PullSpec>() {
        return Ok(spec.repository().clone());
    }
    let parts = text.split_once('/');
    parts
        .and_then(|(registry, path)| Repository::new(registry, path).ok())
        .with_context(|| {
            format!(
                "`{text}` is no pull spec: write it as registry/repository, with or without :tag"
            )
        })
}

fn shown(repository: &Repository, search: &LoginSearch) -> String {
    let used = search.used();
    let mut text = match used {
        Some(place) => format!("{repository}: a login is used, that of {}\n\n", place.place),
        None => {
            format!("{repository}: no login is used, the registry is asked as by a stranger\n\n")
        }
    };
    if search.places.is_empty() {
        text.push_str(
            "  There is no place where one could be: neither HOME nor IIB_AUTH_FILE is set.\n",
        );
    }
    for (number, place) in search.places.iter().enumerate() {
        let mark = if Some(place) == used { "  <- used" } else { "" };
        let (name, outcome) = (&place.place, &place.outcome);
        text.push_str(&format!("  {}. {name} {outcome}{mark}\n", number + 1));
    }
    let keys = search.keys.join("\n    ");
    text.push_str(&format!(
        "\nThe first place with a login decides. In it, the first of these entries does:\n    {keys}\n"
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_may_stand_without_a_tag() {
        for text in ["r.example/team/app:v1", "r.example/team/app"] {
            assert_eq!(repository(text).unwrap().to_string(), "r.example/team/app");
        }
        for text in ["app", "r.example/Team", "", "r.example"] {
            assert!(repository(text).is_err(), "{text}");
        }
    }
}
