//! One test or more for each false statement that users' trials have found, named after its number
//! in docs/incidents.md. Each of them failed before its fix.

mod f02_check_without_exporter;
mod f02_listen_address;
mod one_severity;
