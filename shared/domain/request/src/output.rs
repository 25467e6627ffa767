//! Names of results (worker flows §5.2 and §6, table `output_pull_spec`).

use iib_oci::{Arch, PullSpec, PullSpecError};

use crate::WorkSettings;

impl WorkSettings {
    /// The result under this tag: the push template filled in.
    ///
    /// # Errors
    /// [`PullSpecError`]: the setting gives no pull spec.
    pub fn output(&self, tag: &str) -> Result<PullSpec, PullSpecError> {
        self.image_push_template
            .replace("{registry}", &self.registry)
            .replace("{request_id}", tag)
            .parse()
    }

    /// The result as users are to see it: the first mention of our registry is replaced by the name
    /// they know.
    pub fn shown_name(&self, internal: &str) -> String {
        match &self.index_image_output_registry {
            Some(other) => internal.replacen(&self.registry, other, 1),
            None => internal.to_owned(),
        }
    }
}

/// The tag of one architecture's image beside the result.
pub fn arch_tag(output: &PullSpec, arch: &Arch) -> String {
    format!("{}-{arch}", output.reference())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_has_a_name_for_the_service_and_one_for_users() {
        let mut work = WorkSettings {
            registry: "registry:8443".to_owned(),
            image_push_template: "{registry}/iib/build:{request_id}".to_owned(),
            index_image_output_registry: None,
            ..WorkSettings::default()
        };
        let output = work.output("7").unwrap();
        assert_eq!(output.as_str(), "registry:8443/iib/build:7");
        assert_eq!(arch_tag(&output, &Arch::amd64()), "7-amd64");
        assert_eq!(work.shown_name(output.as_str()), output.as_str());
        work.index_image_output_registry = Some("proxy.example".to_owned());
        assert_eq!(
            work.shown_name(output.as_str()),
            "proxy.example/iib/build:7"
        );
        work.image_push_template = "{request_id}".to_owned();
        assert!(work.output("7").is_err());
    }
}
