//! The rules: one function a check, from the facts of an entry to what is wrong with it. All of
//! them are pure.

pub(super) mod commands;
pub(super) mod directives;
pub(super) mod memory;
pub(super) mod persistence;
pub(super) mod promotion;
pub(super) mod reachable;
pub(super) mod replication;
pub(super) mod rights;
pub(super) mod sentinels;
pub(super) mod setup;
pub(super) mod sites;
pub(super) mod way_back;

#[cfg(test)]
mod tests;
