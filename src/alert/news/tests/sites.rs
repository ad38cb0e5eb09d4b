//! The sentences about active-active sites, in full.

use super::*;

const LABELS: [(&str, &str); 3] = [
    ("name", "profiles"),
    ("source_dc", "dc1"),
    ("target_dc", "dc2"),
];

fn because(reason: &str, since: Option<Timestamp>) -> AlertContext {
    AlertContext {
        reason: Some(reason.to_owned()),
        fault_since: since,
        ..AlertContext::default()
    }
}

#[test]
fn sentences_about_active_active_sites() {
    let reason = "dc1 has versions that dc2 lacks for good: 3 newer";
    let diverged = alert(Rule::SitesDiverged, &LABELS, because(reason, None));
    assert_eq!(
        sentence_of(&diverged),
        "profiles dc1 → dc2: dc1 has versions that dc2 lacks for good: 3 newer."
    );
    assert_eq!(
        sentence_of(&as_resolved(diverged, ResolveReason::Cleared)),
        "profiles dc1 → dc2: resolved. No key is known any more that differs for good; it was so \
         06:43:38 to 06:44:28 UTC (50 s)."
    );
    let reason = "nothing is known of what differs or waits: dc2 does not answer";
    let unknown = because(reason, Some(at(NOW - 35)));
    let unknown = alert(Rule::SitesUnknown, &LABELS, unknown);
    assert_eq!(
        sentence_of(&unknown),
        "profiles dc1 → dc2: nothing is known of what differs or waits: dc2 does not answer, for \
         35 s (since 06:43:53 UTC)."
    );
    assert_eq!(
        sentence_of(&as_resolved(unknown, ResolveReason::Removed)),
        "profiles dc1 → dc2: closed, no longer configured; it had lasted for 35 s (since 06:43:53 \
         UTC)."
    );
    let cases = [
        (
            Rule::SyncQueue,
            "too much waits in the queue",
            "The queue is short and young again",
        ),
        (
            Rule::ClockSkew,
            "the clocks of the sites are apart",
            "The clocks agree again, and no version is ahead of them",
        ),
        (
            Rule::CounterRegressed,
            "a site has lost increments of counters",
            "No counter is known any more of which increments are lost",
        ),
    ];
    for (rule, what, over) in cases {
        let bare = alert(rule, &LABELS, AlertContext::default());
        assert_eq!(sentence_of(&bare), format!("profiles dc1 → dc2: {what}."));
        let resolved = sentence_of(&as_resolved(bare, ResolveReason::Cleared));
        let begin = format!("profiles dc1 → dc2: resolved. {over}; it was so ");
        assert!(resolved.starts_with(&begin), "{resolved}");
    }
}
