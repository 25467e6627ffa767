//! The router with stores in memory, asked as clients and the API Gateway ask it; and the built
//! binary.

#[cfg(test)]
mod batches;
#[cfg(all(test, feature = "aws"))]
mod binary;
#[cfg(test)]
mod broken;
#[cfg(test)]
mod cancels;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod cursors;
#[cfg(test)]
mod described;
#[cfg(test)]
mod dry_runs;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod handler;
#[cfg(test)]
mod hosts;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod problems;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod rollback;
mod routing;
#[cfg(test)]
mod service;
#[cfg(test)]
mod store;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod uploads;
#[cfg(test)]
mod waiting;
