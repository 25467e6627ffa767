//! The built binary under a simulated Lambda Runtime API, over embedded stores.

#[cfg(test)]
mod binary;
#[cfg(test)]
#[path = "../../../pin/tests/it/machine.rs"]
mod machine;
