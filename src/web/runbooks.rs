//! The runbooks, served by the exporter itself: the link in an alert works when nothing but the
//! exporter does.

use askama::Template;
use pulldown_cmark::{CowStr, Event, LinkType, Options, Parser, Tag, html};

/// `templates/runbook.html`.
#[derive(Template)]
#[template(path = "runbook.html")]
struct Page {
    title: &'static str,
    /// Made from our own files, which contain no HTML of others.
    body: String,
}

macro_rules! runbooks {
    ($($name:literal),* $(,)?) => {
        /// Every runbook: its name and its text as in docs/runbooks.
        const RUNBOOKS: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../docs/runbooks/", $name, ".md")))),*];
    };
}

runbooks![
    "README",
    "RedisCrossDcConfigReloadFailed",
    "RedisCrossDcStateNotKept",
    "RedisCrossDcDiverged",
    "RedisCrossDcExporterDown",
    "RedisCrossDcExporterOverloaded",
    "RedisCrossDcFailover",
    "RedisCrossDcFullSync",
    "RedisCrossDcInhibitor",
    "RedisCrossDcLagBytesHigh",
    "RedisCrossDcLagHigh",
    "RedisCrossDcLagUnknown",
    "RedisCrossDcLinkDown",
    "RedisCrossDcMonitorIsolated",
    "RedisCrossDcPollsStopped",
    "RedisCrossDcReceiverFailing",
    "RedisCrossDcSentinelQuorumLost",
    "RedisCrossDcServerUnreachable",
    "RedisCrossDcWatchdog",
];

/// The list of all runbooks.
pub(super) const INDEX: &str = "README";

/// The text of the runbook `name`; `None` where there is none.
pub(super) fn find(name: &str) -> Option<(&'static str, &'static str)> {
    RUNBOOKS.iter().find(|(known, _)| *known == name).copied()
}

/// A runbook as a page.
pub(super) fn render((name, text): (&'static str, &'static str)) -> askama::Result<Vec<u8>> {
    let title = if name == INDEX { "Runbooks" } else { name };
    let mut body = String::new();
    html::push_html(
        &mut body,
        Parser::new_ext(text, Options::ENABLE_TABLES).map(linked),
    );
    // Commands may be wider than the screen, and who has only a keyboard must be able to move them,
    // too.
    let body = body.replace("<pre>", "<pre tabindex=\"0\">");
    Page { title, body }.render().map(String::into_bytes)
}

/// Links between the files become links between the pages.
fn linked(event: Event<'static>) -> Event<'static> {
    match event {
        Event::Start(Tag::Link {
            link_type: LinkType::Inline,
            dest_url,
            title,
            id,
        }) => {
            let page = dest_url
                .strip_suffix(".md")
                .map(|name| CowStr::from(format!("/runbooks/{name}")));
            Event::Start(Tag::Link {
                link_type: LinkType::Inline,
                dest_url: page.unwrap_or(dest_url),
                title,
                id,
            })
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_runbook_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/runbooks");
        let files = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let written: BTreeSet<String> = files
            .map(|file| file.trim_end_matches(".md").to_owned())
            .collect();
        let served: BTreeSet<String> = RUNBOOKS
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect();
        assert_eq!(written, served);
    }

    #[test]
    fn links_lead_to_pages_that_are_there() {
        for (name, _) in RUNBOOKS {
            let page = String::from_utf8(render(find(name).unwrap()).unwrap()).unwrap();
            for link in page
                .split("href=\"/runbooks/")
                .skip(1)
                .filter_map(|rest| rest.split('"').next())
            {
                assert!(
                    link.is_empty() || find(link).is_some(),
                    "{name} links to {link}"
                );
            }
            assert!(page.contains("<h1>"), "{name}");
        }
    }

    #[test]
    fn tables_and_commands_are_kept() {
        let page =
            String::from_utf8(render(find("RedisCrossDcLagHigh").unwrap()).unwrap()).unwrap();
        assert!(
            page.contains("<table>") && page.contains("<pre tabindex=\"0\"><code>"),
            "{page}"
        );
        assert!(find("../Cargo").is_none());
    }
}
