//! One test or more for each false statement that users' trials have found, named after its number
//! in docs/incidents.md. Each of them failed before its fix.

mod one_severity;
