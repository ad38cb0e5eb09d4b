//! The replication stream of a deposed master: its commands, what is kept of them, and the database
//! that they begin in.

use redis_cross_dc_exporter::lost_writes::{
    CommandParser, ConflictSearch, TailDigest, database_at_end,
};

/// Room for a word, and for everything.
const LIMITS: [usize; 2] = [40, 1 << 30];

/// What a stream gives.
#[derive(Debug, PartialEq)]
struct Read {
    digest: String,
    kept: Vec<u8>,
    whole_bytes: u64,
    is_whole: bool,
    failed: bool,
}

/// The first byte chooses the limit and whether the database is known, the second how the stream is
/// cut; the others are the stream. However it is cut, the same is counted and kept; what is kept
/// are whole commands, and all of them are kept when it is read once more.
pub fn run(data: &[u8]) {
    let [kind, cut, stream @ ..] = data else {
        return;
    };
    let limit = LIMITS[usize::from(kind % 2)];
    let database = (kind & 2 == 0).then_some(0);
    let at_once = read(stream, stream.len().max(1), limit, database);
    let pieces = read(stream, usize::from(cut % 32) + 1, limit, database);
    assert_eq!(pieces, at_once, "in pieces of {}", cut % 32 + 1);
    assert!(at_once.whole_bytes <= stream.len() as u64);
    assert!(at_once.kept.len() <= stream.len());

    let mut parser = CommandParser::new(limit);
    let mut commands = 0_usize;
    let parsed = parser.feed(&at_once.kept, |command| {
        commands += 1;
        assert!(!command.is_empty() && command.argument(command.len()).is_none());
    });
    assert_eq!(parsed, Ok(()), "what is kept is commands");
    assert!(parser.is_between_commands(), "and whole");
    assert_eq!(parser.parsed(), at_once.kept.len() as u64);
    let again = read(&at_once.kept, at_once.kept.len().max(1), limit, database);
    assert_eq!(again.kept, at_once.kept, "nothing more is left out");
    assert!(again.is_whole);

    let mut digest = TailDigest::new(database, limit);
    // A stream that is no stream is refused; that was compared above.
    let _ = digest.feed(stream, &mut Vec::new());
    let mut search = ConflictSearch::new(digest.keys(), limit);
    let _ = search.feed(stream);
    let found = search.finish();
    assert!(found.count <= digest.keys().len() as u64);
    database_at_end(stream);
}

fn read(stream: &[u8], size: usize, limit: usize, database: Option<u64>) -> Read {
    let mut digest = TailDigest::new(database, limit);
    let mut kept = Vec::new();
    let mut failed = false;
    for piece in stream.chunks(size) {
        if digest.feed(piece, &mut kept).is_err() {
            failed = true;
            break;
        }
    }
    Read {
        digest: format!("{:?} {}", digest.counts(), digest.keys().len()),
        kept,
        whole_bytes: digest.whole_bytes(),
        is_whole: digest.is_whole(),
        failed,
    }
}
