//! Small bundles, and looking into index files.

use std::path::Path;

use iib_bundle::{Bundle, BundleFiles};
use rusqlite::Connection;

/// A small bundle; the image is made from package and version.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    pub(crate) replaces: &'static str,
    pub(crate) skips: &'static [&'static str],
    pub(crate) channels: &'static str,
    pub(crate) default_channel: &'static str,
    pub(crate) tag: &'static str,
}

impl Made {
    pub(crate) fn new(package: &'static str, version: &'static str) -> Self {
        Self {
            package,
            version,
            replaces: "",
            skips: &[],
            channels: "alpha,stable",
            default_channel: "stable",
            tag: "",
        }
    }

    pub(crate) fn replacing(
        package: &'static str,
        version: &'static str,
        replaces: &'static str,
    ) -> Self {
        Self {
            replaces,
            ..Self::new(package, version)
        }
    }

    pub(crate) fn name(&self) -> String {
        format!("{}.v{}", self.package, self.version)
    }

    pub(crate) fn bundle(&self) -> Bundle {
        let Self {
            package,
            version,
            channels,
            default_channel,
            tag,
            ..
        } = self;
        let kind = format!("Kind{package}");
        let plural = format!("kinds{package}");
        let mut csv = format!(
            "kind: ClusterServiceVersion\nmetadata:\n  name: {}\n  annotations: {{olm.skipRange: \
             '<{version}'}}\nspec:\n  version: '{version}'\n  customresourcedefinitions:\n    \
             owned: [{{name: {plural}.example.com, version: v1, kind: {kind}}}]\n    required: \
             [{{name: gears.example.org, version: v1, kind: Gear}}]\n  install:\n    strategy: \
             deployment\n    spec: {{deployments: [{{name: op, spec: {{template: {{spec: \
             {{containers: [{{name: op, image: 'quay.invalid/op:{version}'}}], initContainers: \
             [{{name: init, image: 'quay.invalid/init:{version}'}}]}}}}}}}}]}}\n  relatedImages: \
             [{{name: r, image: 'quay.invalid/related:{version}'}}]\n",
            self.name()
        );
        if !self.replaces.is_empty() {
            csv.push_str(&format!("  replaces: {package}.v{}\n", self.replaces));
        }
        let skips: Vec<String> = self
            .skips
            .iter()
            .map(|skip| format!("{package}.v{skip}"))
            .collect();
        csv.push_str(&format!("  skips: [{}]\n", skips.join(", ")));
        let crd = format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec: {{group: \
             example.com, names: {{kind: {kind}, plural: {plural}}}, versions: [{{name: v1}}]}}\n"
        );
        let prefix = "operators.operatorframework.io.bundle";
        let annotations = format!(
            "annotations:\n  {prefix}.package.v1: {package}\n  {prefix}.channels.v1: \
             '{channels}'\n  {prefix}.channel.default.v1: '{default_channel}'\n"
        );
        let files = BundleFiles {
            manifests: [
                ("crd.yaml".into(), crd.into()),
                ("csv.yaml".into(), csv.into()),
            ]
            .into(),
            metadata: Some([("annotations.yaml".into(), annotations.into())].into()),
        };
        Bundle::read(
            &format!("registry.invalid/{package}:{version}{tag}"),
            &files,
        )
        .unwrap()
    }
}

/// The worked example of spec §18.1.
pub(crate) fn basic() -> Vec<Made> {
    vec![
        Made::new("basic", "1.0.0"),
        Made::replacing("basic", "1.1.0", "1.0.0"),
        Made {
            channels: "alpha,beta",
            default_channel: "beta",
            ..Made::replacing("basic", "1.2.0", "1.1.0")
        },
        Made {
            channels: "stable",
            skips: &["1.2.0"],
            ..Made::replacing("basic", "1.3.0", "1.1.0")
        },
    ]
}

pub(crate) fn bundles(made: &[Made]) -> Vec<Bundle> {
    made.iter().map(Made::bundle).collect()
}

/// The rows of a table as sorted texts, each once.
pub(crate) fn rows(connection: &Connection, select: &str) -> Vec<String> {
    let mut statement = connection.prepare(select).unwrap();
    let columns = statement.column_count();
    let mut rows: Vec<String> = statement
        .query_map([], |row| {
            let cells: Vec<String> = (0..columns)
                .map(|at| match row.get_ref(at).unwrap() {
                    rusqlite::types::ValueRef::Null => String::new(),
                    rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                    rusqlite::types::ValueRef::Real(number) => number.to_string(),
                    rusqlite::types::ValueRef::Text(text)
                    | rusqlite::types::ValueRef::Blob(text) => {
                        String::from_utf8_lossy(text).into_owned()
                    }
                })
                .collect();
            Ok(cells.join(" | "))
        })
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    rows.sort();
    rows.dedup();
    rows
}

pub(crate) fn select(db: &Path, select: &str) -> Vec<String> {
    rows(&Connection::open(db).unwrap(), select)
}
