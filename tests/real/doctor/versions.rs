//! Directives that exist on some versions only.

use redis_cross_dc_exporter::doctor::FindingSeverity::Advice;
use redis_cross_dc_exporter::lab::{RedisServer, Reply};
use redis_cross_dc_exporter::model::DoctorCheck;

use super::{Pair, doctor, read, reference};

/// The directives, and a value that each takes where it exists.
const DIRECTIVES: [(&str, &str); 7] = [
    ("repl-timeout", "60"),
    ("no-such-directive", "yes"),
    ("aof-timestamp-enabled", "no"),
    ("replica-ignore-disk-write-errors", "no"),
    ("repl-rdb-channel", "no"),
    ("dual-channel-replication-enabled", "no"),
    ("repl-compression", "no"),
];

/// Whether the server answers CONFIG GET of the directive.
async fn has(server: &RedisServer, directive: &str) -> bool {
    let reply = server.command(&["CONFIG", "GET", directive]).await.unwrap();
    match reply {
        Reply::Array(words) => !words.is_empty(),
        other => panic!("{other:?}"),
    }
}

/// Doctor says which servers do not know a directive, and a server of this version that is given
/// such a line does not start, which is what it foretells.
#[tokio::test]
async fn b7_is_found_exactly_where_a_line_would_keep_the_server_from_starting() {
    let pair = Pair::start(reference(), reference()).await;
    let mut args = vec!["--output", "json"];
    for (directive, _) in DIRECTIVES {
        args.extend(["--directive", directive]);
    }
    let report = read(doctor(&pair.configuration(), &args).await);
    let findings = &report.pairs[0].findings;
    for (directive, value) in DIRECTIVES {
        let about = findings.iter().filter(|finding| {
            let is_b7 = finding.check == DoctorCheck::B7 && finding.severity == Advice;
            is_b7 && finding.what.contains(directive)
        });
        let is_known = has(&pair.master, directive).await;
        let expected = if is_known { 0 } else { 2 };
        assert_eq!(about.count(), expected, "{directive}: {findings:#?}");
        let line = format!("{directive} {value}");
        let started = RedisServer::builder().config(&line).start().await;
        assert_eq!(started.is_ok(), is_known, "{line}: {started:?}");
    }
}
