//! Which crate may know which (docs/ARCHITECTURE.md, "Directions").

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// What a pure crate must not reach, however deep.
const IMPURE: [&str; 9] = [
    "tokio",
    "reqwest",
    "hyper",
    "axum",
    "rusqlite",
    "tracing",
    "lambda_runtime",
    "rand",
    "getrandom",
];

struct Workspace {
    /// Crate → the folder that says what it may know: its own, or that of crates of its sort.
    folders: BTreeMap<String, String>,
    /// Crate → crates of ours it depends on when built for use (not for tests).
    ours: BTreeMap<String, BTreeSet<String>>,
    /// Crate → all crates it reaches when built for use.
    reach: BTreeMap<String, BTreeSet<String>>,
}

fn workspace() -> Workspace {
    let metadata = MetadataCommand::new().exec().unwrap();
    let resolve = metadata.resolve.as_ref().unwrap();
    let name = |id| metadata[id].name.to_string();
    let edges: BTreeMap<_, BTreeSet<_>> = resolve
        .nodes
        .iter()
        .map(|node| {
            let used = node.deps.iter().filter(|dep| {
                dep.dep_kinds
                    .iter()
                    .any(|kind| kind.kind == DependencyKind::Normal)
            });
            (name(&node.id), used.map(|dep| name(&dep.pkg)).collect())
        })
        .collect();
    let folders = metadata.workspace_packages().into_iter().map(|package| {
        let root = &metadata.workspace_root;
        let own = package.manifest_path.parent().unwrap();
        let own = own.strip_prefix(root).unwrap();
        let parent = own.parent().unwrap();
        let sorted = RULES.iter().any(|(rule, _)| *rule == parent);
        let folder = if sorted { parent } else { own };
        (package.name.to_string(), folder.to_string())
    });
    let folders = folders.collect();
    let members: BTreeSet<String> = metadata.workspace_members.iter().map(name).collect();
    let reach = members
        .iter()
        .map(|member| (member.clone(), reached(&edges, member)))
        .collect();
    let ours = edges
        .into_iter()
        .filter(|(from, _)| members.contains(from))
        .map(|(from, to)| (from, to.intersection(&members).cloned().collect()))
        .collect();
    Workspace {
        folders,
        ours,
        reach,
    }
}

fn reached(edges: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
    while let Some(next) = open.pop() {
        for to in &edges[&next] {
            if seen.insert(to.clone()) {
                open.push(to.clone());
            }
        }
    }
    seen
}

/// The folders of a checkout that hold crates, from the inside out, and which of them the crates of
/// each may know. A folder that has to know itself says so.
const RULES: [(&str, &[&str]); 7] = [
    ("shared/domain", &["shared/domain"]),
    ("shared/ports", &["shared/domain"]),
    ("shared/pipeline", &["shared/domain", "shared/ports"]),
    // What HTTP clients of adapters are made of.
    ("shared/outward", &[]),
    (
        "shared/adapters",
        &["shared/domain", "shared/ports", "shared/outward"],
    ),
    (
        "shared/wiring",
        &[
            "shared/domain",
            "shared/ports",
            "shared/pipeline",
            "shared/adapters",
            "shared/outward",
            "shared/wiring",
        ],
    ),
    (
        "functions",
        &[
            "shared/domain",
            "shared/ports",
            "shared/pipeline",
            "shared/wiring",
        ],
    ),
];

/// What is built of everything else: the command, and the programs that test.
const PROGRAMS: [&str; 3] = ["iib", "conformance", "infra/faults"];

#[test]
fn crates_know_what_their_folder_may_know() {
    let workspace = workspace();
    for (name, folder) in &workspace.folders {
        if PROGRAMS.contains(&folder.as_str()) || folder == "shared/testkit" {
            continue;
        }
        let rule = RULES.iter().find(|(rule, _)| folder == rule);
        let (_, allowed) = rule.unwrap_or_else(|| panic!("no rule for {name} in {folder}"));
        for other in &workspace.ours[name] {
            let at = workspace.folders[other].as_str();
            assert!(
                allowed.contains(&at),
                "{name} in {folder} depends on {other} in {at}"
            );
        }
    }
}

#[test]
fn crates_of_the_domain_reach_nothing_impure() {
    let workspace = workspace();
    let domain = workspace.folders.iter();
    for (name, _) in domain.filter(|(_, folder)| *folder == "shared/domain") {
        for impure in IMPURE {
            let reached = workspace.reach[name].contains(impure);
            assert!(!reached, "{name} reaches {impure}");
        }
    }
}

#[test]
fn the_testkit_is_for_tests() {
    let workspace = workspace();
    for (name, others) in &workspace.ours {
        // Tests that are programs: the fault suite needs a stack that runs, the conformance suites call commands.
        let is_test = ["iib-faults", "iib-conformance"].contains(&name.as_str());
        assert!(
            !others.contains("iib-testkit") || is_test,
            "{name} needs the testkit outside tests"
        );
    }
}

/// libgit2 is large, and a function that does not need it starts sooner without.
#[test]
fn of_the_functions_only_push_speaks_to_git() {
    let workspace = workspace();
    let functions = workspace.folders.iter();
    let functions = functions.filter(|(_, folder)| *folder == "functions");
    let speaks = |name: &&String| workspace.reach[*name].contains("git2");
    let names: Vec<&String> = functions.map(|(name, _)| name).filter(speaks).collect();
    assert_eq!(names, ["iib-push"]);
}
