//! The runbooks, served by the exporter itself, so that the link in an alert works when nothing but
//! the exporter does.

mod subject;

use askama::Template;
use pulldown_cmark::{CowStr, Event, LinkType, Options, Parser, Tag, TagEnd, html};

pub(super) use subject::{RunbookSubject, SubjectNow};

/// `templates/runbook.html`.
#[derive(Template)]
#[template(path = "runbook.html")]
struct Page<'a> {
    title: &'static str,
    /// The pair or server of the alert whose link was followed.
    about: Option<&'a SubjectNow>,
    /// Made from this project's files alone, so it is not escaped.
    body: String,
}

macro_rules! runbooks {
    ($($name:literal),* $(,)?) => {
        /// Every runbook: its name and its text as in docs/runbooks.
        const RUNBOOKS: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../../docs/runbooks/", $name, ".md")))),*];
    };
}

runbooks![
    "README",
    "RedisCrossDcActiveActiveDiverged",
    "RedisCrossDcActiveActiveUnknown",
    "RedisCrossDcBacklogHeadroomLow",
    "RedisCrossDcClusterDown",
    "RedisCrossDcClockSkew",
    "RedisCrossDcConfigReloadFailed",
    "RedisCrossDcCounterRegressed",
    "RedisCrossDcStateNotKept",
    "RedisCrossDcDiverged",
    "RedisCrossDcExporterDown",
    "RedisCrossDcExporterFault",
    "RedisCrossDcExporterOverloaded",
    "RedisCrossDcFailover",
    "RedisCrossDcFullSync",
    "RedisCrossDcHistoryLost",
    "RedisCrossDcInhibitor",
    "RedisCrossDcLagBytesHigh",
    "RedisCrossDcLagHigh",
    "RedisCrossDcLagUnknown",
    "RedisCrossDcLinkDown",
    "RedisCrossDcMonitorIsolated",
    "RedisCrossDcOutputBufferHigh",
    "RedisCrossDcPollsStopped",
    "RedisCrossDcReceiverFailing",
    "RedisCrossDcSentinelQuorumLost",
    "RedisCrossDcServerUnreachable",
    "RedisCrossDcSyncQueueHigh",
    "RedisCrossDcWatchdog",
];

/// The list of all runbooks.
pub(super) const INDEX: &str = "README";

/// The text of the runbook `name`; `None` where there is none.
pub(super) fn find(name: &str) -> Option<(&'static str, &'static str)> {
    RUNBOOKS.iter().find(|(known, _)| *known == name).copied()
}

/// A runbook as a page, its commands filled in for what the alert is about.
pub(super) fn render(
    (name, text): (&'static str, &'static str),
    about: Option<&SubjectNow>,
) -> askama::Result<Vec<u8>> {
    let title = if name == INDEX { "Runbooks" } else { name };
    let mut body = String::new();
    let mut in_command = false;
    let filled = Parser::new_ext(text, Options::ENABLE_TABLES).map(|event| {
        match &event {
            Event::Start(Tag::CodeBlock(_)) => in_command = true,
            Event::End(TagEnd::CodeBlock) => in_command = false,
            _ => {}
        }
        fill_in(linked(event), in_command, about)
    });
    html::push_html(&mut body, filled);
    // Commands may be wider than the screen, and must be scrollable with a keyboard alone.
    let body = body.replace("<pre>", "<pre tabindex=\"0\">");
    let page = Page { title, about, body };
    page.render().map(String::into_bytes)
}

/// A command with the addresses of what the alert is about.
fn fill_in<'a>(event: Event<'a>, in_command: bool, about: Option<&SubjectNow>) -> Event<'a> {
    let Some(about) = about else {
        return event;
    };
    match event {
        Event::Code(text) => Event::Code(about.fill_in(&text).into()),
        Event::Text(text) if in_command => Event::Text(about.fill_in(&text).into()),
        other => other,
    }
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
            let dest_url = match dest_url.strip_suffix(".md") {
                Some(name) => CowStr::from(format!("/runbooks/{name}")),
                None => dest_url,
            };
            Event::Start(Tag::Link {
                link_type: LinkType::Inline,
                dest_url,
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
            let page = String::from_utf8(render(find(name).unwrap(), None).unwrap()).unwrap();
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
            String::from_utf8(render(find("RedisCrossDcLagHigh").unwrap(), None).unwrap()).unwrap();
        assert!(
            page.contains("<table>") && page.contains("<pre tabindex=\"0\"><code>"),
            "{page}"
        );
        assert!(find("../Cargo").is_none());
    }

    #[test]
    fn commands_are_filled_in_for_the_pair_that_led_here() {
        use crate::report::testing::{Scene, fleet};
        let (fleet, now) = fleet(Scene::MasterLost);
        let subject = RunbookSubject {
            pair: "orders".to_owned(),
            ..RunbookSubject::default()
        };
        let about = SubjectNow::find(&fleet, now, &subject).unwrap();
        let runbook = find("RedisCrossDcLinkDown").unwrap();
        let page = String::from_utf8(render(runbook, Some(&about)).unwrap()).unwrap();
        for part in [
            "redis-cli -h r.example.com -p 6379 INFO replication",
            "nc -vz -w 3 m.example.com 6379",
            "mtr -rwc 20 m.example.com",
            "href=\"/pairs/orders?replica=r.example.com%3A6379\"",
            "master_unreachable",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(
            !page.contains("SOURCE") && !page.contains("TARGET"),
            "{page}"
        );
    }

    #[test]
    fn commands_are_filled_in_for_the_server_that_led_here() {
        use crate::report::testing::{Scene, fleet};
        let (fleet, now) = fleet(Scene::MasterLost);
        let subject = RunbookSubject {
            server: "m.example.com:6379".to_owned(),
            ..RunbookSubject::default()
        };
        let about = SubjectNow::find(&fleet, now, &subject).unwrap();
        let runbook = find("RedisCrossDcServerUnreachable").unwrap();
        let page = String::from_utf8(render(runbook, Some(&about)).unwrap()).unwrap();
        assert!(
            page.contains("redis-cli -h m.example.com -p 6379"),
            "{page}"
        );
        let nobody = RunbookSubject {
            server: "nobody:1".to_owned(),
            ..RunbookSubject::default()
        };
        assert!(SubjectNow::find(&fleet, now, &nobody).is_none());
    }
}
