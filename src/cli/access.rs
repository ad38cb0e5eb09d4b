//! `check-config --connect`: what every server and Sentinel grants the exporter, and the ACL rules
//! that are missing.

use super::block_on;
use super::exit::Exit;
use super::output::{print_coloured, say};
use super::style;
use super::summary::{counted, summary};
use crate::app::{self, Access, ServerAccess};
use crate::config::Settings;
use crate::report::{Level, visible_text};

/// Logs in everywhere and prints what came of it.
pub(super) fn try_access(settings: &Settings) -> Exit {
    let found = match block_on(app::try_access(settings)) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    for warning in settings.warnings() {
        say(&format!("warning: {warning}"));
    }
    print_coloured(&screen(&found));
    let totals = Totals::new(&found);
    say(&format!(
        "\nvalid: {}; {}",
        summary(settings),
        totals.text()
    ));
    if totals.is_complete() {
        say("Next: redis-cross-dc-exporter, then redis-cross-dc-exporter check");
        Exit::Ok
    } else {
        Exit::Failed
    }
}

/// One line for each server, and what is missing below it.
fn screen(found: &[ServerAccess]) -> String {
    found.iter().map(lines).collect()
}

/// Answers come from whatever listens there, so control characters in them are escaped.
fn lines(server: &ServerAccess) -> String {
    let addr = visible_text(&server.addr.to_string());
    let dc = visible_text(server.dc.as_str());
    match &server.outcome {
        Err(why) => row(
            Level::Critical,
            &format!("{addr} in {dc}: {}", visible_text(why)),
        ),
        Ok(access) => granted(server, access, &format!("{addr} in {dc}")),
    }
}

fn granted(server: &ServerAccess, access: &Access, place: &str) -> String {
    let user = user(server);
    let answered = if access.answered.is_empty() {
        "logged in".to_owned()
    } else {
        visible_text(&access.answered)
    };
    if access.missing.is_empty() {
        return row(
            Level::Ok,
            &format!("{place}: {answered}; {user} has every right"),
        );
    }
    let mut text = row(
        Level::Warning,
        &format!("{place}: {answered}; {user} lacks rights"),
    );
    let mut rules = Vec::new();
    for missing in &access.missing {
        text += &format!("    {}: without it, {}\n", missing.rule, missing.without);
        rules.push(missing.rule);
    }
    let name = server.user.as_deref().unwrap_or("default");
    text += &format!(
        "    ACL SETUSER {} {}\n",
        visible_text(name),
        rules.join(" ")
    );
    text
}

fn user(server: &ServerAccess) -> String {
    match &server.user {
        Some(name) => format!("user {}", visible_text(name)),
        None => "the default user".to_owned(),
    }
}

fn row(level: Level, text: &str) -> String {
    let colour = style::for_level(level);
    let word = match level {
        Level::Ok => "ok     ",
        Level::Warning => "missing",
        Level::Critical | Level::Unknown => "failed ",
    };
    format!("{colour}{word}{colour:#}  {text}\n")
}

/// How many servers and Sentinels grant what.
struct Totals {
    complete: usize,
    lacking: usize,
    failed: usize,
}

impl Totals {
    fn new(found: &[ServerAccess]) -> Self {
        let mut totals = Self {
            complete: 0,
            lacking: 0,
            failed: 0,
        };
        for server in found {
            match &server.outcome {
                Ok(access) if access.missing.is_empty() => totals.complete += 1,
                Ok(_) => totals.lacking += 1,
                Err(_) => totals.failed += 1,
            }
        }
        totals
    }

    fn is_complete(&self) -> bool {
        self.complete > 0 && self.lacking == 0 && self.failed == 0
    }

    /// `logged in to all 5`, or how many of which kind.
    fn text(&self) -> String {
        let all = self.complete + self.lacking + self.failed;
        if self.is_complete() {
            return format!("logged in to all {all}");
        }
        let lacking = counted(self.lacking, "lacks rights", "lack rights");
        format!(
            "asked {all}: {} ok, {lacking}, {} failed",
            self.complete, self.failed
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::MissingRule;
    use crate::model::{Datacenter, ServerAddr};

    fn server(outcome: Result<Access, String>) -> ServerAccess {
        ServerAccess {
            addr: ServerAddr::new("a", 6379),
            dc: Datacenter::new("dc1"),
            user: Some("monitor".to_owned()),
            is_sentinel: false,
            outcome,
        }
    }

    fn access(missing: Vec<MissingRule>) -> Access {
        Access {
            answered: "redis 7.0.15, master".to_owned(),
            missing,
        }
    }

    fn shown(outcome: Result<Access, String>) -> String {
        let screen = screen(&[server(outcome)]);
        anstream::adapter::strip_str(&screen).to_string()
    }

    #[test]
    fn every_outcome_says_what_to_do() {
        let all = shown(Ok(access(Vec::new())));
        let expected =
            "ok       a:6379 in dc1: redis 7.0.15, master; user monitor has every right\n";
        assert_eq!(all, expected);
        let rule = |rule| MissingRule {
            rule,
            without: "something is amiss",
        };
        let lacking = shown(Ok(access(vec![rule("+info"), rule("+client|setname")])));
        let expected = "missing  a:6379 in dc1: redis 7.0.15, master; user monitor lacks rights\n    \
                        +info: without it, something is amiss\n    \
                        +client|setname: without it, something is amiss\n    \
                        ACL SETUSER monitor +info +client|setname\n";
        assert_eq!(lacking, expected);
        let failed = shown(Err("the server refused\u{7} the login".to_owned()));
        assert_eq!(
            failed,
            "failed   a:6379 in dc1: the server refused\\u{7} the login\n"
        );
    }

    #[test]
    fn the_last_line_counts_them() {
        let rule = MissingRule {
            rule: "+info",
            without: "",
        };
        let good = server(Ok(access(Vec::new())));
        let lacking = server(Ok(access(vec![rule])));
        let failed = server(Err(String::new()));
        let totals = Totals::new(&[good.clone(), good.clone()]);
        assert!(totals.is_complete());
        assert_eq!(totals.text(), "logged in to all 2");
        let totals = Totals::new(&[good, lacking, failed]);
        assert!(!totals.is_complete());
        assert_eq!(totals.text(), "asked 3: 1 ok, 1 lacks rights, 1 failed");
        assert!(!Totals::new(&[]).is_complete(), "nothing was found out");
    }
}
