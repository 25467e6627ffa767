//! The handler over embedded stores, and the start of the binary.

#[cfg(all(test, feature = "aws"))]
mod binary;
#[cfg(test)]
mod handler;
#[cfg(test)]
#[path = "../../../pin/tests/it/machine.rs"]
mod machine;
