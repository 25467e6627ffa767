//! The example bundles, as files of the command itself, so that the demo needs no checkout.

/// A bundle: its operator, version and files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExampleBundle {
    pub(crate) operator: &'static str,
    pub(crate) version: &'static str,
    /// Path in the image and content, sorted by path.
    pub(crate) files: &'static [(&'static str, &'static str)],
}

macro_rules! bundle {
    ($operator:literal, $version:literal, [$($file:literal),+ $(,)?]) => {
        ExampleBundle {
            operator: $operator,
            version: $version,
            files: &[$((
                $file,
                include_str!(concat!("../../../examples/bundles/", $operator, "/", $version, "/", $file)),
            )),+],
        }
    };
}

macro_rules! lantern {
    ($version:literal) => {
        bundle!(
            "lantern",
            $version,
            [
                "manifests/lantern.clusterserviceversion.yaml",
                "manifests/lanterns.crd.yaml",
                "metadata/annotations.yaml",
            ]
        )
    };
}

/// What the first index is made of.
pub(crate) const FIRST: &[ExampleBundle] = &[
    lantern!("0.1.0"),
    lantern!("0.2.0"),
    bundle!(
        "kettle",
        "1.0.0",
        [
            "manifests/kettle.clusterserviceversion.yaml",
            "manifests/kettles.crd.yaml",
            "metadata/annotations.yaml",
        ]
    ),
];

/// What is added to it.
pub(crate) const NEWER: &[ExampleBundle] = &[
    lantern!("0.3.0"),
    bundle!(
        "kettle",
        "1.1.0",
        [
            "manifests/kettle.clusterserviceversion.yaml",
            "manifests/kettles.crd.yaml",
            "metadata/annotations.yaml",
            "metadata/dependencies.yaml",
        ]
    ),
];
