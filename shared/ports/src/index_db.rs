//! The index database port.
