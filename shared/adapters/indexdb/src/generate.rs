//! Made-up bundles of real sizes, for measuring.
//!
//! A bundle's text is some 65 KB, four fifths of it CRDs, and packs with gzip to between a third
//! and a fifth, like those of public catalogs. Equal numbers give equal bundles.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use iib_bundle::BundleFiles;

/// What bundle to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipe {
    /// The package, by number.
    pub package: usize,
    /// Place in the package's chain; bundle 0 replaces nothing.
    pub version: usize,
    /// How much text to make, in bytes; the real text is within a tenth of it.
    pub text_bytes: usize,
}

impl Recipe {
    /// A bundle of an index in which every package has `per_package` bundles, by its number.
    pub fn numbered(number: usize, per_package: usize) -> Self {
        let per_package = per_package.max(1);
        let (package, version) = (number / per_package, number % per_package);
        // Sizes vary from half to one and a half of the mean.
        let text_bytes = 32_500 + (number * 7_919) % 65_000;
        Self {
            package,
            version,
            text_bytes,
        }
    }

    /// The image reference the bundle goes by.
    pub fn image(&self) -> String {
        let digest = format!("{:032x}{:032x}", self.package, self.version);
        format!(
            "registry.invalid/made/{}@sha256:{digest}",
            self.package_name()
        )
    }

    /// The name of its package.
    pub fn package_name(&self) -> String {
        format!("made-{:04}", self.package)
    }

    fn name(&self, version: usize) -> String {
        format!("{}.v1.{version}.0", self.package_name())
    }

    /// The files of the bundle.
    pub fn files(&self) -> BundleFiles {
        let package = self.package_name();
        let mut words = Words {
            state: (self.package as u64) << 32 | self.version as u64,
        };
        let mut manifests = BTreeMap::new();
        let crds = (self.text_bytes / 30_000).max(1);
        for crd in 0..crds {
            let text = self.crd(crd, self.text_bytes * 4 / 5 / crds, &mut words);
            manifests.insert(format!("crd-{crd}.yaml"), text.into_bytes());
        }
        let csv = self.csv(crds, self.text_bytes / 5, &mut words);
        manifests.insert("csv.yaml".to_owned(), csv.into_bytes());
        let prefix = "operators.operatorframework.io.bundle";
        let annotations = format!(
            "annotations:\n  {prefix}.package.v1: {package}\n  {prefix}.channels.v1: stable,fast\n  \
             {prefix}.channel.default.v1: stable\n"
        );
        let metadata = [("annotations.yaml".to_owned(), annotations.into_bytes())];
        BundleFiles {
            manifests,
            metadata: Some(metadata.into()),
        }
    }

    fn crd(&self, crd: usize, size: usize, words: &mut Words) -> String {
        let group = format!("{}.example.com", self.package_name());
        let mut text = format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  \
             name: things{crd}.{group}\nspec:\n  group: {group}\n  names: {{kind: Thing{crd}, \
             plural: things{crd}}}\n  scope: Namespaced\n  versions:\n  - name: v1\n    served: \
             true\n    storage: true\n    schema:\n      openAPIV3Schema:\n        type: object\n        \
             properties:\n"
        );
        while text.len() < size {
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "          {}{}:\n            type: string\n            description: {}\n",
                words.word(),
                text.len(),
                words.sentence(14)
            );
        }
        text
    }

    fn csv(&self, crds: usize, size: usize, words: &mut Words) -> String {
        let name = self.name(self.version);
        let mut text = format!(
            "apiVersion: operators.coreos.com/v1alpha1\nkind: ClusterServiceVersion\nmetadata:\n  \
             name: {name}\nspec:\n  version: 1.{}.0\n",
            self.version
        );
        if let Some(below) = self.version.checked_sub(1) {
            let _ = writeln!(text, "  replaces: {}", self.name(below));
        }
        text.push_str("  customresourcedefinitions:\n    owned:\n");
        for crd in 0..crds {
            let _ = writeln!(
                text,
                "    - {{kind: Thing{crd}, version: v1, name: things{crd}.{}.example.com}}",
                self.package_name()
            );
        }
        let _ = writeln!(
            text,
            "  install:\n    strategy: deployment\n    spec:\n      deployments:\n      - name: op\n        \
             spec:\n          template:\n            spec:\n              containers:\n              \
             - {{name: op, image: '{}'}}",
            self.image()
        );
        text.push_str("  description: |\n");
        while text.len() < size {
            let _ = writeln!(text, "    {}", words.sentence(12));
        }
        text
    }
}

/// Words without end, the same for the same start.
struct Words {
    state: u64,
}

const SYLLABLES: [&str; 32] = [
    "ba", "con", "de", "fi", "gra", "ho", "in", "ja", "ker", "lo", "ma", "ne", "o", "pre", "qui",
    "re", "ser", "ta", "un", "ver", "wi", "ex", "yo", "ze", "al", "ble", "ci", "du", "er", "fo",
    "ge", "tion",
];

impl Words {
    /// A step of a splitmix generator.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn word(&mut self) -> String {
        let bits = self.next();
        let syllables = 1 + (bits >> 60) as usize % 3;
        let pick = |at: usize| SYLLABLES.get((bits >> (5 * at)) as usize % 32).copied();
        (0..syllables).filter_map(pick).collect()
    }

    fn sentence(&mut self, words: usize) -> String {
        let words: Vec<String> = (0..words).map(|_| self.word()).collect();
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::Recipe;
    use iib_bundle::Bundle;

    #[test]
    fn made_bundles_are_of_the_size_asked_for_and_form_chains() {
        for number in 0..40 {
            let recipe = Recipe::numbered(number, 4);
            let bundle = Bundle::read(&recipe.image(), &recipe.files()).unwrap();
            let size = bundle.objects_text.len();
            let wanted = recipe.text_bytes;
            assert!(size.abs_diff(wanted) < wanted / 5, "{size} for {wanted}");
            assert_eq!(bundle.replaces.is_empty(), recipe.version == 0);
        }
    }

    #[test]
    fn equal_recipes_give_equal_bundles() {
        assert_eq!(
            Recipe::numbered(7, 3).files(),
            Recipe::numbered(7, 3).files()
        );
    }
}
