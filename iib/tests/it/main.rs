//! Tests of the command, and of the workspace as a whole.

mod command;
mod directions;
mod kill;
mod process;
