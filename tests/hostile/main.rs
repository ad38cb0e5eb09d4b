//! Hostile bytes and names, from everywhere that the program reads: the fuzz targets' own
//! functions, fed from the captured replies, the documents and proptest; and names and servers'
//! words through all output of the program.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what cannot be unwrapped has to fail the test"
)]

#[allow(unreachable_pub, reason = "it is the library of another crate, too")]
#[path = "../../fuzz/src/lib.rs"]
mod entries;
mod limits;
mod names;
mod regressions;
mod smoke;
mod unsupported;
mod watched;
