//! Which crate may know which (docs/ARCHITECTURE.md, "Directions").

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Crates without input, output, time or chance.
const PURE: [&str; 5] = [
    "iib-oci",
    "iib-catalog",
    "iib-bundle",
    "iib-fbc",
    "iib-request",
];
const ADAPTERS: [&str; 5] = [
    "iib-registry",
    "iib-indexdb",
    "iib-catalog-folder",
    "iib-embedded",
    "iib-aws",
];
const FUNCTIONS: [&str; 7] = [
    "iib-intake",
    "iib-pin",
    "iib-mutate",
    "iib-push",
    "iib-prune",
    "iib-dead-letter",
    "iib-artifact",
];

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
    Workspace { ours, reach }
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

#[test]
fn pure_crates_know_only_pure_crates_and_reach_nothing_impure() {
    let workspace = workspace();
    for name in PURE {
        for other in &workspace.ours[name] {
            assert!(PURE.contains(&other.as_str()), "{name} depends on {other}");
        }
        for impure in IMPURE {
            assert!(
                !workspace.reach[name].contains(impure),
                "{name} reaches {impure}"
            );
        }
    }
}

#[test]
fn ports_use_cases_and_adapters_point_inwards() {
    let workspace = workspace();
    let allowed: BTreeMap<&str, Vec<&str>> = [
        ("iib-ports", PURE.to_vec()),
        ("iib-pipeline", [&PURE[..], &["iib-ports"]].concat()),
        (
            "iib-edge",
            [&PURE[..], &["iib-ports", "iib-pipeline"]].concat(),
        ),
    ]
    .into_iter()
    .chain(ADAPTERS.map(|adapter| (adapter, [&PURE[..], &["iib-ports"]].concat())))
    .collect();
    for (name, allowed) in allowed {
        for other in &workspace.ours[name] {
            assert!(
                allowed.contains(&other.as_str()),
                "{name} depends on {other}"
            );
        }
    }
}

#[test]
fn only_the_command_and_the_conformance_runner_know_the_functions() {
    let workspace = workspace();
    for (name, others) in &workspace.ours {
        for function in FUNCTIONS {
            let knows = others.contains(function);
            let may = ["iib", "iib-conformance", "iib-faults"].contains(&name.as_str());
            assert!(!knows || may, "{name} depends on {function}");
        }
        // The fault suite is a test; it is a program because it needs a stack that runs.
        assert!(
            !others.contains("iib-testkit") || name == "iib-faults",
            "{name} needs the testkit outside tests"
        );
    }
}
