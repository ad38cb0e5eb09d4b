//! The command line of what asks a running exporter.

use std::path::PathBuf;

use clap::Args;

/// Which running exporter to ask.
#[derive(Debug, Args)]
#[command(next_help_heading = "The running exporter")]
pub(in crate::cli) struct ExporterArgs {
    /// The running exporter's address, such as `http://127.0.0.1:10121`; the default follows
    /// --web.listen-address, or else `web.listen_address` of the configuration file
    #[arg(long = "exporter.url", value_name = "URL")]
    pub(in crate::cli) url: Option<String>,
    /// The user, if the exporter requires one
    #[arg(
        long = "exporter.username",
        value_name = "NAME",
        requires = "password_file"
    )]
    pub(in crate::cli) username: Option<String>,
    /// The file that holds the user's password
    #[arg(
        long = "exporter.password-file",
        value_name = "FILE",
        requires = "username"
    )]
    pub(in crate::cli) password_file: Option<PathBuf>,
    /// The authorities (PEM) that sign the exporter's certificate; without it the system's
    #[arg(long = "exporter.ca-file", value_name = "FILE")]
    pub(in crate::cli) ca_file: Option<PathBuf>,
    /// This client's certificate (PEM), if the exporter requires one
    #[arg(
        long = "exporter.cert-file",
        value_name = "FILE",
        requires = "key_file"
    )]
    pub(in crate::cli) cert_file: Option<PathBuf>,
    /// The private key (PEM) of this client's certificate
    #[arg(
        long = "exporter.key-file",
        value_name = "FILE",
        requires = "cert_file"
    )]
    pub(in crate::cli) key_file: Option<PathBuf>,
    /// Skips verification of the exporter's certificate: for an exporter on this machine whose
    /// certificate is for another name
    #[arg(long = "exporter.insecure-skip-verify", conflicts_with = "ca_file")]
    pub(in crate::cli) insecure_skip_verify: bool,
}
