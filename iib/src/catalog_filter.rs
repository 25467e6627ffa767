//! `iib catalog filter`.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use iib_fbc::{Catalog, Filter, PackageFilter};
use iib_pipeline::CatalogEdit;

use crate::cli::{FilterOptions, Target};
use crate::{Exit, catalog, catalog_image, say, source};

pub(crate) async fn filter(
    catalog: &str,
    options: &FilterOptions,
    target: &Target,
) -> anyhow::Result<Exit> {
    let filter = read(options)?;
    if let Some(image) = catalog_image::target(&target.to, &target.image)? {
        let edit = CatalogEdit::Filter(filter);
        return catalog_image::changed(catalog, edit, &image, target.json).await;
    }
    let source = source::catalog(catalog).await?;
    let mut after = source.outline()?;
    for line in filter.apply(&mut after)? {
        say::aside(line);
    }
    catalog::rewritten(
        &source,
        &after,
        target,
        |name| !name.is_empty(),
        |name, package| {
            match filter.packages.get(name) {
                // Said above, of the outline.
                Some(kept) => _ = kept.apply(name, package)?,
                None => *package = Catalog::default(),
            }
            Ok(())
        },
    )
}

/// The filter that the words of the command line say.
fn read(options: &FilterOptions) -> anyhow::Result<Filter> {
    let names = options.packages.iter().cloned();
    let mut packages: BTreeMap<String, PackageFilter> =
        names.map(|name| (name, PackageFilter::default())).collect();
    for text in &options.channels {
        let (package, channel) = of_package(&mut packages, "--channel", "CHANNEL", text)?;
        package.channels.insert(channel.to_owned());
    }
    for text in &options.versions {
        let (package, range) = of_package(&mut packages, "--versions", "RANGE", text)?;
        let range = range.parse();
        let range = range.with_context(|| format!("--versions '{text}' cannot be used"))?;
        if package.versions.replace(range).is_some() {
            bail!("--versions '{text}' is the second one for its package: write one range");
        }
    }
    for text in &options.default_channels {
        let (package, channel) = of_package(&mut packages, "--default-channel", "CHANNEL", text)?;
        if package
            .default_channel
            .replace(channel.to_owned())
            .is_some()
        {
            bail!("--default-channel {text} is the second one for its package: name one");
        }
    }
    Ok(Filter { packages })
}

/// The package of `PACKAGE:…`, which is one of those that are kept, and what it says of it.
fn of_package<'p, 't>(
    packages: &'p mut BTreeMap<String, PackageFilter>,
    option: &str,
    value: &str,
    text: &'t str,
) -> anyhow::Result<(&'p mut PackageFilter, &'t str)> {
    let parts = text.split_once(':');
    let Some((package, said)) =
        parts.filter(|(package, said)| !package.is_empty() && !said.is_empty())
    else {
        bail!("{option} {text} does not say of which package: write PACKAGE:{value}");
    };
    match packages.get_mut(package) {
        Some(found) => Ok((found, said)),
        None => bail!(
            "{option} {text} is about a package that is not kept: add --package {package}, or check \
             its spelling"
        ),
    }
}
