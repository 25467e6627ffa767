//! Names that mean nothing here.

use super::Environment;
use super::variables::{ALIASES, VARIABLES};

/// Variables of the command, which are no settings of the service.
const OF_THE_COMMAND: [&str; 4] = ["IIB_CONFIG", "IIB_URL", "IIB_TOKEN", "IIB_REGISTRY_LOGIN"];

/// Beginnings of variables of this project's own tools, see CONTRIBUTING.md.
const OF_TOOLS: [&str; 12] = [
    "IIB_API_EXAMPLES",
    "IIB_API_SEED",
    "IIB_PAGES_",
    "IIB_BINARIES",
    "IIB_KILL_POINTS",
    "IIB_SHARED",
    "IIB_STACK_",
    "IIB_PROFILE",
    "IIB_FUZZ_",
    "IIB_SECOND_OPINIONS",
    "IIB_SAM_VENV",
    "IIB_TOOLS",
];

/// Where all names stand.
const ALL: &str = "`iib serve --print-settings` names all";

/// How alike two names are where one is taken for the other mistyped; 1 is the same.
const ALIKE: f64 = 0.7;

/// A sentence for each variable that begins with `IIB_` and means nothing here: a mistyped one
/// would be passed over in silence, and the setting with it. Values are not repeated.
pub fn unknown_variables(environment: &Environment) -> Vec<String> {
    let settings = VARIABLES.iter().map(|variable| variable.name);
    let others = ALIASES.map(|(other, _)| other);
    let known: Vec<&str> = settings.chain(others).chain(OF_THE_COMMAND).collect();
    let unknown = environment.keys().filter(|name| {
        name.starts_with("IIB_")
            && !known.contains(&name.as_str())
            && !OF_TOOLS.iter().any(|tool| name.starts_with(tool))
    });
    let told = |name: &String| match similar(name, &known) {
        Some(meant) => format!("{name} is set and means nothing here: is {meant} meant?"),
        None => format!("{name} is set and means nothing here: {ALL} variables"),
    };
    unknown.map(told).collect()
}

/// What to say of a place in a settings file where no setting is.
pub(super) fn no_setting(place: &str) -> String {
    let places = VARIABLES.map(|variable| variable.place);
    match similar(place, &places) {
        Some(meant) => format!("there is no such setting: is {meant} meant?"),
        None => format!("there is no such setting: {ALL}"),
    }
}

/// The known name that is most like this one, if it is like it at all.
fn similar<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let bare = |name: &'a str| name.trim_start_matches("IIB_");
    let own = name.trim_start_matches("IIB_");
    let likeness = |known: &'a str| strsim::normalized_damerau_levenshtein(own, bare(known));
    let with_likeness = known.iter().map(|known| (*known, likeness(known)));
    let (best, alike) = with_likeness.max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    (alike > ALIKE).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::super::tests::vars;
    use super::*;

    #[test]
    fn a_mistyped_variable_is_named_with_the_one_that_is_meant() {
        let environment = vars(&[
            ("IIB_INSECURE_REGISTRY", "x"),
            ("IIB_MAX_ATEMPTS", "3"),
            ("IIB_COLOUR", "blue"),
            ("IIB_REGISTRY", "r.example"),
            ("IIB_TOKEN", "t"),
            ("IIB_SHARED", "/s"),
            ("IIB_STACK_REGISTRY", "r"),
            ("OTHER", "x"),
        ]);
        let told = unknown_variables(&environment);
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].starts_with("IIB_COLOUR is set") && told[0].contains("--print-settings"));
        assert!(
            told[1].contains("is IIB_INSECURE_REGISTRIES meant"),
            "{told:?}"
        );
        assert!(told[2].contains("is IIB_MAX_ATTEMPTS meant"), "{told:?}");
        // Their values are nobody's business.
        assert!(!told.concat().contains("blue"));
    }

    #[test]
    fn a_mistyped_key_is_told_with_the_one_that_is_meant() {
        for (place, said) in [
            ("work.registri", "is work.registry meant?"),
            ("data_folders", "is data_folder meant?"),
            ("colour", "--print-settings"),
        ] {
            assert!(no_setting(place).contains(said), "{}", no_setting(place));
        }
    }
}
