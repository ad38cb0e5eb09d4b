//! One INFO reply.

use redis_cross_dc_exporter::info::{
    Field, Observation, ReplicationInfo, Role, parse, parse_bytes,
};

/// The longest text that is kept of a field.
const MAX_TEXT: usize = 256;

/// Reads `reply`; what comes of it is bounded, visible and consistent, and a cut reply says nothing
/// else.
pub fn run(reply: &[u8]) {
    let Ok(observation) = parse_bytes(reply) else {
        return;
    };
    check(&observation);
    // Of every other input, so that most of the time goes into new inputs.
    if reply.len().is_multiple_of(2) {
        cut(&String::from_utf8_lossy(reply), &observation);
    }
}

fn check(observation: &Observation) {
    let replication = &observation.replication;
    assert!(replication.replicas.len() <= ReplicationInfo::MAX_REPLICAS);
    let is_replica = replication.role == Field::Value(Role::Replica);
    assert_eq!(
        replication.upstream.is_some(),
        is_replica,
        "only a replica has a master"
    );
    visible(&observation.server.version);
    replication
        .upstream
        .iter()
        .for_each(|upstream| visible(&upstream.host));
    for line in &replication.replicas {
        visible(&Field::Value(line.ip.clone()));
    }
}

fn visible(field: &Field<String>) {
    let Field::Value(text) = field else { return };
    assert!(
        !text.is_empty() && text.len() <= MAX_TEXT && text.bytes().all(|b| b.is_ascii_graphic()),
        "{text:?}"
    );
}

/// The first half of a reply gives the same offsets, or none.
fn cut(text: &str, whole: &Observation) {
    let half = &text[..text.floor_char_boundary(text.len() / 2)];
    // What stands twice is malformed only where both are seen.
    let twice = [
        &whole.replication.master_offset,
        &whole.replication.second_offset,
    ]
    .contains(&&Field::Malformed);
    let Ok(cut) = parse(half) else { return };
    check(&cut);
    if twice {
        return;
    }
    for (cut, whole) in [
        (
            &cut.replication.master_offset,
            &whole.replication.master_offset,
        ),
        (
            &cut.replication.second_offset,
            &whole.replication.second_offset,
        ),
    ] {
        assert!(
            cut == whole || matches!(cut, Field::Missing | Field::Malformed),
            "{cut:?} of {whole:?}"
        );
    }
}
