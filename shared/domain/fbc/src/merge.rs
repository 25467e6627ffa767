//! Putting catalogs together and taking packages out.

use std::collections::BTreeSet;

use crate::blob::Catalog;

impl Catalog {
    /// Names of the packages, and of those that only channels, bundles or others belong to.
    pub fn package_names(&self) -> BTreeSet<String> {
        let packages = self.packages.iter().map(|package| &package.name);
        let channels = self.channels.iter().map(|channel| &channel.package);
        let bundles = self.bundles.iter().map(|bundle| &bundle.package);
        let others = self.others.iter().map(|other| &other.package);
        let names = packages.chain(channels).chain(bundles).chain(others);
        names.filter(|name| !name.is_empty()).cloned().collect()
    }

    /// Puts a fragment into the catalog: its packages replace those of the same name as a whole, as
    /// adding a fragment to an index does (worker flows, fbc-operations). Gives the names of the
    /// packages that were replaced.
    pub fn merge(&mut self, fragment: Self) -> BTreeSet<String> {
        let new = fragment.package_names();
        let replaced = self.remove_packages(&new);
        self.extend(fragment);
        replaced
    }

    /// Takes packages out with all that belongs to them, and gives the names of those that were
    /// there.
    pub fn remove_packages(&mut self, names: &BTreeSet<String>) -> BTreeSet<String> {
        let found = self.package_names().intersection(names).cloned().collect();
        self.packages
            .retain(|package| !names.contains(&package.name));
        self.channels
            .retain(|channel| !names.contains(&channel.package));
        self.bundles
            .retain(|bundle| !names.contains(&bundle.package));
        self.others.retain(|other| !names.contains(&other.package));
        found
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::{Catalog, read_text};

    fn catalog(packages: &[(&str, &str)]) -> Catalog {
        let mut catalog = Catalog::default();
        for (package, channel) in packages {
            let text = format!(
                r#"{{"schema": "olm.package", "name": "{package}", "defaultChannel": "{channel}"}}
                   {{"schema": "olm.channel", "package": "{package}", "name": "{channel}"}}
                   {{"schema": "olm.bundle", "package": "{package}", "name": "{package}.{channel}"}}
                   {{"schema": "my.own", "package": "{package}"}}"#
            );
            read_text(&text, &mut catalog).unwrap();
        }
        read_text(r#"{"schema": "my.own"}"#, &mut catalog).unwrap();
        catalog
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn packages_of_a_fragment_replace_those_of_the_catalog() {
        let mut whole = catalog(&[("a", "old"), ("b", "kept")]);
        let replaced = whole.merge(catalog(&[("a", "new"), ("c", "new")]));
        assert_eq!(replaced, set(&["a"]));
        let mut expected = catalog(&[("a", "new"), ("b", "kept"), ("c", "new")]).by_package();
        // Each of the two catalogs has an object without a package.
        let of_none = expected.get_mut("").unwrap();
        of_none.others.push(of_none.others[0].clone());
        assert_eq!(whole.by_package(), expected);
    }

    #[test]
    fn a_package_goes_with_all_that_belongs_to_it() {
        let mut whole = catalog(&[("a", "x"), ("b", "y")]);
        assert_eq!(whole.remove_packages(&set(&["a", "nothing"])), set(&["a"]));
        assert_eq!(whole, catalog(&[("b", "y")]));
    }
}
