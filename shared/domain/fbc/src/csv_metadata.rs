//! The property `olm.csv.metadata`, made of a CSV, and the CSV that newer versions of the reference put
//! together from it where a bundle has none (newest-opm §1, §7).

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::anew::{Strings, html_escaped};
use crate::blob::{CatalogBundle, CatalogPackage};
use crate::fields::{Fields, WrongType, text};
use crate::members::Members;
use crate::read::without_html_escapes;
use crate::write::compact;

/// The type of the property.
pub(crate) const CSV_METADATA: &str = "olm.csv.metadata";

/// A value of the property that was read: the texts of its members. Unknown ones are gone.
#[derive(Debug)]
pub(crate) struct CsvMetadata {
    /// `labels` and `annotations`.
    metadata: String,
    /// Of the CSV's `spec`, `maturity`.
    maturity: String,
    /// `customresourcedefinitions` to `displayName`.
    apis: String,
    description: String,
    /// `keywords` to `links`.
    people: String,
    /// `installModes`.
    modes: String,
}

impl CsvMetadata {
    /// Reads a value that was written anew, so that of members whose names differ in case only the
    /// last in that order counts.
    pub(crate) fn read(value: &RawValue) -> Result<Self, WrongType> {
        let fields = Fields::of(value)?;
        let mut metadata = Record::new(&fields);
        metadata.texts_by_name("labels")?;
        metadata.texts_by_name("annotations")?;
        let mut apis = Record::new(&fields);
        apis.described("crdDescriptions", "customresourcedefinitions", crd)?;
        apis.described(
            "apiServiceDefinitions",
            "apiservicedefinitions",
            api_service,
        )?;
        apis.native_apis()?;
        apis.optional("minKubeVersion")?;
        apis.text("displayName")?;
        let mut people = Record::new(&fields);
        people.list_of_texts("keywords")?;
        people.maintainers()?;
        people.link("provider")?;
        people.links()?;
        let mut modes = Record::new(&fields);
        modes.install_modes()?;
        Ok(Self {
            metadata: metadata.members.into_text(),
            maturity: fields.string("maturity")?,
            apis: apis.members.into_text(),
            description: fields.string("description")?,
            people: people.members.into_text(),
            modes: modes.members.into_text(),
        })
    }

    /// The text of the CSV. What the property lacks comes from the bundle and its package.
    pub(crate) fn csv(
        &self,
        bundle: &CatalogBundle,
        version: &str,
        package: Option<&CatalogPackage>,
    ) -> String {
        let mut metadata = members();
        metadata.filled("name", &bundle.name);
        metadata.several(&self.metadata);
        let mut csv = members();
        csv.string("kind", "ClusterServiceVersion");
        csv.string("apiVersion", "operators.coreos.com/v1alpha1");
        csv.raw("metadata", &metadata.finish());
        csv.raw("spec", &self.spec(bundle, version, package));
        csv.raw("status", r#"{"cleanup":{}}"#);
        csv.finish()
    }

    fn spec(
        &self,
        bundle: &CatalogBundle,
        version: &str,
        package: Option<&CatalogPackage>,
    ) -> String {
        let mut spec = members();
        spec.raw(
            "install",
            r#"{"strategy":"deployment","spec":{"deployments":null}}"#,
        );
        spec.string("version", version);
        spec.filled("maturity", &self.maturity);
        spec.several(&self.apis);
        let of_package = package.map_or("", |package| &package.description);
        spec.filled(
            "description",
            match self.description.as_str() {
                "" => of_package,
                of_bundle => of_bundle,
            },
        );
        spec.several(&self.people);
        if let Some(icon) = package.and_then(|package| package.icon.as_ref()) {
            let mut parts = members();
            parts.string("base64data", icon.base64data.as_deref().unwrap_or(""));
            parts.string("mediatype", &icon.mediatype);
            spec.filled_list("icon", &[parts.finish()]);
        }
        spec.several(&self.modes);
        spec.raw("cleanup", r#"{"enabled":false}"#);
        let images = bundle.related_images.iter().map(|image| {
            let mut parts = members();
            parts.string("name", &image.name);
            parts.string("image", &image.image);
            parts.finish()
        });
        spec.filled_list("relatedImages", &images.collect::<Vec<_>>());
        spec.finish()
    }
}

/// The value of the property for a CSV. It is not checked here: what is not read may have any type.
pub(crate) fn metadata_of(csv: &RawValue) -> Result<String, WrongType> {
    let csv = Fields::of(csv)?;
    let object = |name| Ok(csv.object(name)?.unwrap_or_default());
    let (metadata, spec) = (object("metadata")?, object("spec")?);
    let mut value = members();
    let mut part = |fields: &Fields<'_>, read: Read| {
        let mut record = Record::new(fields);
        read(&mut record)?;
        value.several(&record.members.into_text());
        Ok(())
    };
    part(&metadata, |metadata| metadata.texts_by_name("annotations"))?;
    part(&spec, |spec| {
        spec.described(
            "apiservicedefinitions",
            "apiServiceDefinitions",
            api_service,
        )?;
        spec.described("customresourcedefinitions", "crdDescriptions", crd)?;
        spec.each_optional(&["description", "displayName"])?;
        spec.install_modes()?;
        spec.list_of_texts("keywords")
    })?;
    part(&metadata, |metadata| metadata.texts_by_name("labels"))?;
    part(&spec, |spec| {
        spec.links()?;
        spec.maintainers()?;
        spec.each_optional(&["maturity", "minKubeVersion"])?;
        spec.native_apis()?;
        spec.link("provider")
    })?;
    // Catalogs have no escapes for HTML, and no spaces where the CSV has some.
    let value = value.finish();
    let value = without_html_escapes(value.as_bytes());
    Ok(compact(&String::from_utf8_lossy(&value)))
}

type Read = fn(&mut Record<'_, '_>) -> Result<(), WrongType>;

fn members() -> Members {
    Members::new(Strings::Newest)
}

/// Reads an object, or null, and writes what is known of it.
fn record(
    value: &RawValue,
    read: impl FnOnce(&mut Record<'_, '_>) -> Result<(), WrongType>,
) -> Result<String, WrongType> {
    let fields = Fields::of(value)?;
    let mut record = Record::new(&fields);
    read(&mut record)?;
    Ok(record.members.finish())
}

fn crd(value: &RawValue) -> Result<String, WrongType> {
    record(value, |crd| {
        crd.each(&["name", "version", "kind"])?;
        crd.description()
    })
}

fn api_service(value: &RawValue) -> Result<String, WrongType> {
    record(value, |api| {
        api.each(&["name", "group", "version", "kind"])?;
        api.optional("deploymentName")?;
        api.port("containerPort")?;
        api.description()
    })
}

fn descriptor(value: &RawValue) -> Result<String, WrongType> {
    record(value, |descriptor| {
        descriptor.text("path")?;
        descriptor.each_optional(&["displayName", "description"])?;
        descriptor.list_of_texts("x-descriptors")?;
        descriptor.any("value");
        Ok(())
    })
}

/// A record that is read and written at once, member by member.
struct Record<'f, 'a> {
    fields: &'f Fields<'a>,
    members: Members,
}

impl<'f, 'a> Record<'f, 'a> {
    fn new(fields: &'f Fields<'a>) -> Self {
        Self {
            fields,
            members: members(),
        }
    }

    /// A text, empty or not.
    fn text(&mut self, name: &str) -> Result<(), WrongType> {
        self.members.string(name, &self.fields.text(name)?);
        Ok(())
    }

    fn each(&mut self, names: &[&str]) -> Result<(), WrongType> {
        names.iter().try_for_each(|name| self.text(name))
    }

    /// A text that is left out when it is empty.
    fn optional(&mut self, name: &str) -> Result<(), WrongType> {
        self.members.filled(name, &self.fields.text(name)?);
        Ok(())
    }

    fn each_optional(&mut self, names: &[&str]) -> Result<(), WrongType> {
        names.iter().try_for_each(|name| self.optional(name))
    }

    fn flag(&mut self, name: &str) -> Result<(), WrongType> {
        let flag = self.fields.flag(name)?;
        self.members.raw(name, if flag { "true" } else { "false" });
        Ok(())
    }

    fn port(&mut self, name: &str) -> Result<(), WrongType> {
        match self.fields.short_integer(name)? {
            0 => {}
            port => self.members.raw(name, &port.to_string()),
        }
        Ok(())
    }

    /// Any value, null too, as it is.
    fn any(&mut self, name: &str) {
        if let Some(value) = self.fields.raw(name) {
            self.members.raw(name, &html_escaped(value.get()));
        }
    }

    fn list_of_texts(&mut self, name: &str) -> Result<(), WrongType> {
        let texts = self.fields.list(name, text)?;
        self.members.filled_texts(name, &texts);
        Ok(())
    }

    fn records(
        &mut self,
        name: &str,
        read: impl Fn(&RawValue) -> Result<String, WrongType>,
    ) -> Result<(), WrongType> {
        let records = self.fields.list(name, read)?;
        self.members.filled_list(name, &records);
        Ok(())
    }

    fn texts_by_name(&mut self, name: &str) -> Result<(), WrongType> {
        let by_name: BTreeMap<_, _> = self.fields.texts(name)?.into_iter().collect();
        let mut texts = members();
        for (key, value) in by_name {
            texts.string(&key, &value);
        }
        match texts.into_text() {
            none if none.is_empty() => {}
            texts => self.members.raw(name, &format!("{{{texts}}}")),
        }
        Ok(())
    }

    fn link(&mut self, name: &str) -> Result<(), WrongType> {
        let link = self.fields.object(name)?.unwrap_or_default();
        let mut record = Record::new(&link);
        let read = record.each_optional(&["name", "url"]);
        read.map_err(|wrong| wrong.inside(name))?;
        self.members.raw(name, &record.members.finish());
        Ok(())
    }

    fn native_apis(&mut self) -> Result<(), WrongType> {
        self.records("nativeAPIs", |value| {
            record(value, |api| api.each(&["group", "version", "kind"]))
        })
    }

    fn maintainers(&mut self) -> Result<(), WrongType> {
        self.records("maintainers", |value| {
            record(value, |person| person.each_optional(&["name", "email"]))
        })
    }

    fn links(&mut self) -> Result<(), WrongType> {
        self.records("links", |value| {
            record(value, |link| link.each_optional(&["name", "url"]))
        })
    }

    fn install_modes(&mut self) -> Result<(), WrongType> {
        self.records("installModes", |value| {
            record(value, |mode| {
                mode.text("type")?;
                mode.flag("supported")
            })
        })
    }

    /// What is owned and required: CSV and property have it under different names.
    fn described(
        &mut self,
        name: &str,
        written: &str,
        read: impl Fn(&RawValue) -> Result<String, WrongType>,
    ) -> Result<(), WrongType> {
        let found = self.fields.object(name)?.unwrap_or_default();
        let mut record = Record::new(&found);
        for list in ["owned", "required"] {
            let read = record.records(list, &read);
            read.map_err(|wrong| wrong.inside(name))?;
        }
        self.members.raw(written, &record.members.finish());
        Ok(())
    }

    /// What CRDs and API services can say about themselves.
    fn description(&mut self) -> Result<(), WrongType> {
        self.each_optional(&["displayName", "description"])?;
        self.records("resources", |value| {
            record(value, |resource| {
                resource.each(&["name", "kind", "version"])
            })
        })?;
        self.records("statusDescriptors", descriptor)?;
        self.records("specDescriptors", descriptor)?;
        self.records("actionDescriptors", descriptor)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::{CsvMetadata, metadata_of};
    use crate::anew::json_anew;
    use crate::{CatalogBundle, CatalogPackage, Icon, RelatedImage};

    /// Reads a value as the cache does.
    fn read(text: &str) -> Result<CsvMetadata, String> {
        let value = RawValue::from_string(json_anew(text).unwrap()).unwrap();
        CsvMetadata::read(&value).map_err(|wrong| wrong.to_string())
    }

    fn csv(text: &str, package: Option<&CatalogPackage>) -> String {
        let bundle = CatalogBundle {
            name: "b.v1".to_owned(),
            ..CatalogBundle::default()
        };
        read(text).unwrap().csv(&bundle, "1.0.0", package)
    }

    const HEAD: &str = concat!(
        r#"{"kind":"ClusterServiceVersion","apiVersion":"operators.coreos.com/v1alpha1","#,
        r#""metadata":{"name":"b.v1""#
    );
    const SPEC: &str = concat!(
        r#""spec":{"install":{"strategy":"deployment","spec":{"deployments":null}},"#,
        r#""version":"1.0.0","#
    );
    const TAIL: &str = r#""cleanup":{"enabled":false}},"status":{"cleanup":{}}}"#;
    const APIS: &str = r#""customresourcedefinitions":{},"apiservicedefinitions":{},"#;

    #[test]
    fn what_is_empty_is_left_out_or_not() {
        let bare = format!(r#"{HEAD}}},{SPEC}{APIS}"displayName":"","provider":{{}},{TAIL}"#);
        let nulls = r#"{"annotations": null, "labels": {}, "keywords": [], "links": null,
            "crdDescriptions": null, "apiServiceDefinitions": {"owned": null, "required": []},
            "maturity": "", "provider": null, "displayName": null, "unknown": {"x": [1]}}"#;
        for text in ["{}", "null", nulls] {
            assert_eq!(csv(text, None), bare, "{text}");
        }
    }

    #[test]
    fn every_member_has_its_place() {
        let text = r#"{"installModes": [{"type": "OwnNamespace", "supported": true}, null],
            "links": [{"url": "u", "name": "n", "more": 1}, null],
            "provider": {"url": "u"}, "maintainers": [{"email": "e"}], "keywords": ["k", null],
            "description": "<d>", "displayName": "D", "minKubeVersion": "1.20.0",
            "nativeAPIs": [{"kind": "Pod"}], "maturity": "alpha",
            "annotations": {"b": null, "a": "&"}, "labels": {"l": "1"},
            "crdDescriptions": {"required": [{"group": "gone", "kind": "K", "resources": [null]}]},
            "apiServiceDefinitions": {"owned": [{"containerPort": 1e3, "deploymentName": "d",
                "specDescriptors": [{"path": "p", "value": null, "x-descriptors": ["x"]},
                    {"value": {"b": "<", "a": 1.0}}]}, {"containerPort": 0}]}}"#;
        let expected = [
            HEAD,
            r#","labels":{"l":"1"},"annotations":{"a":"\u0026","b":""}},"#,
            SPEC,
            r#""maturity":"alpha","customresourcedefinitions":{"required":[{"name":"","#,
            r#""version":"","kind":"K","resources":[{"name":"","kind":"","version":""}]}]},"#,
            r#""apiservicedefinitions":{"owned":[{"name":"","group":"","version":"","kind":"","#,
            r#""deploymentName":"d","containerPort":1000,"specDescriptors":[{"path":"p","#,
            r#""x-descriptors":["x"],"value":null},{"path":"","value":{"a":1,"b":"\u003c"}}]},"#,
            r#"{"name":"","group":"","version":"","kind":""}]},"#,
            r#""nativeAPIs":[{"group":"","version":"","kind":"Pod"}],"minKubeVersion":"1.20.0","#,
            r#""displayName":"D","description":"\u003cd\u003e","keywords":["k",""],"#,
            r#""maintainers":[{"email":"e"}],"provider":{"url":"u"},"#,
            r#""links":[{"name":"n","url":"u"},{}],"#,
            r#""installModes":[{"type":"OwnNamespace","supported":true},"#,
            r#"{"type":"","supported":false}],"#,
            TAIL,
        ];
        assert_eq!(csv(text, None), expected.concat());
    }

    /// What the property says of a CSV.
    fn made(csv: &str) -> Result<String, String> {
        let csv = RawValue::from_string(csv.to_owned()).unwrap();
        metadata_of(&csv).map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn the_property_has_what_users_see_of_a_csv() {
        let bare = r#"{"apiServiceDefinitions":{},"crdDescriptions":{},"provider":{}}"#;
        let nulls = r#"{"metadata": {"annotations": null, "labels": {}}, "spec": {"links": [],
            "displayName": "", "customresourcedefinitions": {"owned": null, "required": []},
            "provider": null}}"#;
        let lost = r#"{"metadata": {"name": "n"}, "spec": {"icon": [{}], "version": "1.0.0", "labels":
            {"a": "b"}, "annotations": {"a": "b"}, "relatedImages": [{}], "replaces": "r"}}"#;
        for csv in ["{}", r#"{"metadata": null, "spec": null}"#, nulls, lost] {
            assert_eq!(made(csv).as_deref(), Ok(bare), "{csv}");
        }
        let csv = r#"{"metadata": {"labels": {"l": null}, "annotations": {"b": "<&>", "a": "1"}},
            "spec": {"provider": {"url": "u"}, "nativeAPIs": [null], "minKubeVersion": "1.20.0",
            "maturity": "alpha", "maintainers": [{"email": "e"}], "links": [null],
            "keywords": ["k", null], "installModes": [{"type": "All", "supported": true}],
            "displayName": "D", "Description": "one", "description": "two",
            "customResourceDefinitions": {"Owned": [{"name": "n", "group": "gone",
                "specDescriptors": [{"path": "p", "value": {"b": [1.0,  2], "a": null}}]}]},
            "apiservicedefinitions": {"required": [{"containerPort": 0, "kind": "K"}]}}}"#;
        let expected = [
            r#"{"annotations":{"a":"1","b":"<&>"},"#,
            r#""apiServiceDefinitions":{"required":[{"name":"","group":"","version":"","#,
            r#""kind":"K"}]},"crdDescriptions":{"owned":[{"name":"n","version":"","kind":"","#,
            r#""specDescriptors":[{"path":"p","value":{"b":[1.0,2],"a":null}}]}]},"#,
            r#""description":"two","displayName":"D","#,
            r#""installModes":[{"type":"All","supported":true}],"keywords":["k",""],"#,
            r#""labels":{"l":""},"links":[{}],"maintainers":[{"email":"e"}],"maturity":"alpha","#,
            r#""minKubeVersion":"1.20.0","nativeAPIs":[{"group":"","version":"","kind":""}],"#,
            r#""provider":{"url":"u"}}"#,
        ];
        assert_eq!(made(csv), Ok(expected.concat()));
    }

    #[test]
    fn a_csv_that_is_made_of_the_property_gives_it_again() {
        let text = r#"{"annotations":{"a":"1"},"apiServiceDefinitions":{},"crdDescriptions":{"owned":
            [{"name":"n","version":"v1","kind":"K","displayName":"<K>"}]},"displayName":"D",
            "keywords":["k"],"links":[{"url":"u"}],"provider":{"name":"p"}}"#;
        let again = made(&csv(text, None)).unwrap();
        assert_eq!(again, crate::write::compact(text));
    }

    #[test]
    fn what_is_read_of_a_csv_has_its_type() {
        for (csv, place) in [
            ("[]", "the value, which"),
            (r#"{"metadata": 1}"#, "metadata, which"),
            (r#"{"spec": {"keywords": "k"}}"#, "keywords, which"),
        ] {
            let said = made(csv).unwrap_err();
            assert!(said.contains(place), "{csv}: {said}");
        }
    }

    #[test]
    fn the_case_of_names_does_not_matter() {
        let text = r#"{"DISPLAYNAME": "x", "DisplayName": "y", "CRDdescriptions":
            {"OWNED": [{"Kind": "K", "X-Descriptors": 1}]}}"#;
        let csv = csv(text, None);
        assert!(csv.contains(r#""displayName":"y""#), "{csv}");
        let owned =
            r#""customresourcedefinitions":{"owned":[{"name":"","version":"","kind":"K"}]}"#;
        assert!(csv.contains(owned), "{csv}");
    }

    #[test]
    fn package_and_bundle_give_what_the_property_lacks() {
        let package = CatalogPackage {
            description: "of the package".to_owned(),
            icon: Some(Icon {
                base64data: None,
                mediatype: "image/png".to_owned(),
            }),
            ..CatalogPackage::default()
        };
        let made = csv("{}", Some(&package));
        let icon = concat!(
            r#""description":"of the package","provider":{},"#,
            r#""icon":[{"base64data":"","mediatype":"image/png"}],"cleanup""#
        );
        assert!(made.contains(icon), "{made}");
        let own = csv(r#"{"description": "own"}"#, Some(&package));
        assert!(own.contains(r#""description":"own""#), "{own}");
        let bundle = CatalogBundle {
            related_images: vec![RelatedImage {
                name: String::new(),
                image: "r.invalid/x:1".to_owned(),
            }],
            ..CatalogBundle::default()
        };
        let made = read("{}").unwrap().csv(&bundle, "1.0.0", None);
        let images = concat!(
            r#""cleanup":{"enabled":false},"#,
            r#""relatedImages":[{"name":"","image":"r.invalid/x:1"}]},"#
        );
        assert!(made.contains(images), "{made}");
    }

    #[test]
    fn a_wrong_type_is_refused_and_named() {
        for (text, place) in [
            ("[]", "the value, which has to be an object"),
            (r#"{"annotations": {"a": 1}}"#, "annotations.a, which"),
            (r#"{"labels": []}"#, "labels, which"),
            (r#"{"keywords": "k"}"#, "keywords, which has to be a list"),
            (r#"{"keywords": [1]}"#, "keywords[0], which"),
            (r#"{"displayName": 1}"#, "displayName, which"),
            (r#"{"maturity": []}"#, "maturity, which"),
            (r#"{"provider": "p"}"#, "provider, which"),
            (r#"{"provider": {"name": 1}}"#, "provider.name, which"),
            (r#"{"links": [{}, {"url": true}]}"#, "links[1].url, which"),
            (
                r#"{"installModes": [{"supported": "true"}]}"#,
                "installModes[0].supported, which has to be true or false",
            ),
            (
                r#"{"crdDescriptions": {"owned": [{"specDescriptors": [{"path": 1}]}]}}"#,
                "crdDescriptions.owned[0].specDescriptors[0].path, which",
            ),
            (
                r#"{"apiServiceDefinitions": {"owned": [{"containerPort": 2147483648}]}}"#,
                "apiServiceDefinitions.owned[0].containerPort, which has to be a whole number",
            ),
            (
                r#"{"apiServiceDefinitions": {"required": [{"containerPort": 0.5}]}}"#,
                "apiServiceDefinitions.required[0].containerPort, which",
            ),
            (r#"{"nativeAPIs": [[]]}"#, "nativeAPIs[0], which"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(place), "{text}: {said}");
        }
    }
}
