//! Names of ECR's registries.

/// What a registry's name says: `<account>.dkr.ecr.<region>.amazonaws.com`, with `-fips` behind
/// `ecr` or `.cn` behind it all. An emulator's says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct EcrHost {
    /// The account, which ECR calls the registry's id.
    pub(super) account: Option<String>,
    /// The region.
    pub(super) region: Option<String>,
}

impl EcrHost {
    pub(super) fn parse(registry: &str) -> Option<Self> {
        let name = registry.strip_suffix(".cn").unwrap_or(registry);
        let mut parts = name.strip_suffix(".amazonaws.com")?.split('.');
        let (account, dkr, ecr) = (parts.next()?, parts.next()?, parts.next()?);
        let (region, end) = (parts.next()?, parts.next());
        let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        let is_ecr = dkr == "dkr" && matches!(ecr, "ecr" | "ecr-fips");
        (is_account && is_ecr && !region.is_empty() && end.is_none()).then(|| Self {
            account: Some(account.to_owned()),
            region: Some(region.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_account_and_region() {
        for (name, region) in [
            (
                "123456789012.dkr.ecr.eu-central-1.amazonaws.com",
                "eu-central-1",
            ),
            (
                "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
                "us-gov-west-1",
            ),
            (
                "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
                "cn-north-1",
            ),
        ] {
            let host = EcrHost::parse(name).unwrap();
            assert_eq!(host.account.as_deref(), Some("123456789012"));
            assert_eq!(host.region.as_deref(), Some(region));
        }
    }

    #[test]
    fn what_only_looks_like_it_gets_no_token() {
        for name in [
            "registry.example.com",
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.example",
            "123456789012.dkr.ecr.a.b.amazonaws.com",
            "12345678901.dkr.ecr.eu-central-1.amazonaws.com",
            "123456789012.dkr.ecr..amazonaws.com",
            "123456789012.s3.ecr.eu-central-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com:443",
        ] {
            assert_eq!(EcrHost::parse(name), None, "{name}");
        }
    }
}
