//! The handler over embedded stores, and the start of the binary.

#[cfg(all(test, feature = "aws"))]
mod binary;
#[cfg(test)]
mod handler;
#[cfg(test)]
mod machine;
