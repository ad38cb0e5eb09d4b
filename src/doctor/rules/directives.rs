//! B7: directives that somebody asks for and the server does not have.

use super::super::directive::Directive;
use super::super::facts::{Gap, ServerFacts, Setting};
use super::super::finding::{Evidence, FindingSeverity, Fix, Problem};
use super::super::subject::{Subject, Verdict};

/// Where a directive that few releases have comes from.
const COMPRESSION_SINCE: &str = "Redis 8.10 (a number) or Valkey 9.2 (a word)";

/// B7: the server does not know a directive that is asked for, or that the other side uses.
pub(in crate::doctor) fn asked_for(subject: &Subject<'_>) -> Verdict {
    let mut found = Vec::new();
    let compression = Directive::ReplCompression;
    let is_asked_for = subject.facts.asked_for.contains_key(compression.label());
    if !is_asked_for && lacks_compression_of_others(subject) {
        found.push(problem(subject, compression.label()));
    }
    for (name, setting) in &subject.facts.asked_for {
        match setting {
            Setting::Known(_) => {}
            Setting::Absent => found.push(problem(subject, name)),
            Setting::Denied => {
                return Err(Gap::because(
                    "CONFIG GET is not permitted: give the user +config|get",
                ));
            }
            Setting::Failed(why) => {
                return Err(Gap::because(format!("CONFIG GET failed: {why}")));
            }
        }
    }
    Ok(found)
}

/// Whether another server of the entry compresses its stream and this one cannot.
fn lacks_compression_of_others(subject: &Subject<'_>) -> bool {
    let entry = subject.entry;
    let servers = std::iter::once(&entry.master).chain(&entry.replicas);
    let mut others = servers.filter_map(|server| server.facts.as_ref().ok());
    let compresses = |facts: &ServerFacts| match facts.setting(Directive::ReplCompression) {
        Ok(value) => !matches!(value, "no" | "0"),
        Err(_) => false,
    };
    let setting = subject.facts.settings.get(&Directive::ReplCompression);
    setting == Some(&Setting::Absent) && others.any(compresses)
}

fn problem(subject: &Subject<'_>, name: &str) -> Problem {
    let need = match Directive::parse(name) {
        Some(Directive::ReplCompression) => format!("{COMPRESSION_SINCE}, to have it"),
        Some(directive) => {
            let (major, minor) = directive.since();
            format!("Redis {major}.{minor} or later, to have it")
        }
        None => "a version that has it".to_owned(),
    };
    Problem::new(
        FindingSeverity::Advice,
        format!("it does not have {name}: with such a line in its file it does not start"),
        Evidence::new(format!("no {name}"), need, subject.on_server("CONFIG GET")),
        Fix::by_hand(
            &subject.server.addr,
            "leave the line out of its file, or bring it to a version that has the directive first",
        ),
    )
}
