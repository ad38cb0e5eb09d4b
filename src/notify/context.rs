//! The part of a message that is the same for every alert: which exporter sends it, and its links.

use crate::config::TemplateSettings;

/// Where the message comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageContext {
    /// Which exporter sends it: its identity or host name.
    pub exporter: String,
    /// The URL of that exporter's pages, if it is known.
    pub external_url: Option<String>,
    /// The dashboard that messages link to, if there is one.
    pub dashboard_url: Option<String>,
    /// The receiver's own templates, if it has any.
    pub template: TemplateSettings,
    /// Whether the message is a test (`test-notify`).
    pub test: bool,
}
