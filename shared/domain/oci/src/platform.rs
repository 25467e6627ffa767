//! Architectures and platforms.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An architecture under the name images use (`amd64`, `arm64`, `s390x`, `ppc64le`, …).
///
/// It becomes part of a tag, so only what a tag may hold is accepted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Arch(String);

/// The text cannot be the name of an architecture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of an architecture: use letters, digits, `_`, at most 32 of them")]
pub struct ArchError(String);

impl Arch {
    /// What an image without a binary image is built for (worker flows §4.4).
    pub fn amd64() -> Self {
        Self("amd64".to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one of those that Go knows, whose names the image specification uses.
    pub fn is_common(&self) -> bool {
        const COMMON: [&str; 24] = [
            "386",
            "amd64",
            "amd64p32",
            "arm",
            "arm64",
            "arm64be",
            "armbe",
            "loong64",
            "mips",
            "mips64",
            "mips64le",
            "mips64p32",
            "mips64p32le",
            "mipsle",
            "ppc",
            "ppc64",
            "ppc64le",
            "riscv",
            "riscv64",
            "s390",
            "s390x",
            "sparc",
            "sparc64",
            "wasm",
        ];
        COMMON.contains(&self.as_str())
    }

    /// The name that an image's `architecture` *label* uses for this architecture
    /// (worker flows §5.1): `x86_64` for `amd64`, `aarch64` for `arm64`, else the same.
    pub fn label_name(&self) -> &str {
        match self.0.as_str() {
            "amd64" => "x86_64",
            "arm64" => "aarch64",
            other => other,
        }
    }
}

impl FromStr for Arch {
    type Err = ArchError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if text.is_empty() || text.len() > 32 || !text.bytes().all(valid) {
            return Err(ArchError(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Arch {
    type Error = ArchError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Arch> for String {
    fn from(arch: Arch) -> Self {
        arch.0
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The platform an entry of a manifest list is for. Tools that attach things to images leave it
/// empty, so both texts may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Architecture, as written in the list.
    #[serde(default)]
    pub architecture: String,
    /// Operating system; only `linux` is ever built.
    #[serde(default)]
    pub os: String,
    /// Variant such as `v8`; absent for most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Linux on this architecture, without a variant.
    pub fn linux(arch: &Arch) -> Self {
        Self {
            architecture: arch.to_string(),
            os: "linux".to_owned(),
            variant: None,
        }
    }
}
