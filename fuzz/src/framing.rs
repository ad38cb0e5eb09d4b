//! What a Redis server sends: the guard in front of the protocol's parser, and that parser behind
//! it.

use redis::Value;
use redis_cross_dc_exporter::client::{MAX_INFO_REPLY, ReplyFrames};
use redis_cross_dc_exporter::model::PollError;

/// Room for a word, for some replies, what the program allows, and none but what memory gives.
const LIMITS: [u64; 4] = [12, 300, MAX_INFO_REPLY.get(), u64::MAX];

/// One kind of guard.
#[derive(Clone, Copy)]
struct Guard {
    limit: usize,
    records: bool,
}

impl Guard {
    fn frames(self) -> ReplyFrames {
        if self.records {
            ReplyFrames::of_records(self.limit)
        } else {
            ReplyFrames::new(self.limit)
        }
    }
}

/// What the guard has seen at the end of a stream.
#[derive(Debug, PartialEq)]
struct End {
    /// Where replies end.
    replies: Vec<usize>,
    between_replies: bool,
}

/// The first byte chooses the limit, and whether arrays are let through; the second where the next
/// request begins, the third and fourth how the stream is cut; the others are the stream. However
/// it is cut, the guard says the same; it lets nothing above the limit through; and the parser
/// finds the replies that the guard has found, or refuses them: it never waits for more.
pub fn run(data: &[u8]) {
    let [kind, next, one, other, stream @ ..] = data else {
        return;
    };
    let limit = usize::try_from(LIMITS[usize::from(kind % 4)]).unwrap_or(usize::MAX);
    let requests = stream.split_at(stream.len() * usize::from(*next) / 256);
    let guard = Guard {
        limit,
        records: *kind / 4 % 2 == 1,
    };
    let end = byte_by_byte(guard, requests);
    let count = end
        .as_ref()
        .map(|end| (end.replies.len(), end.between_replies))
        .map_err(|error| *error);
    let cuts = [one, other].map(|cut| usize::from(cut % 64) + 1);
    assert_eq!(
        in_pieces(guard, requests, cuts),
        count,
        "in pieces of {cuts:?}"
    );
    assert_eq!(
        in_pieces(guard, requests, [stream.len().max(1); 2]),
        count,
        "in one piece a request"
    );
    if let Ok(end) = end {
        assert!(
            requests.0.len() <= limit && requests.1.len() <= limit,
            "more than {limit} bytes"
        );
        parsed(stream, &end, guard);
    }
}

fn byte_by_byte(guard: Guard, (first, second): (&[u8], &[u8])) -> Result<End, PollError> {
    let mut frames = guard.frames();
    let mut replies = Vec::new();
    for (at, byte) in first.iter().chain(second).enumerate() {
        if at == first.len() {
            frames.restart();
        }
        match frames.follow(std::slice::from_ref(byte))? {
            0 => {}
            1 => replies.push(at + 1),
            many => panic!("{many} replies end with one byte"),
        }
    }
    Ok(End {
        replies,
        between_replies: frames.is_between_replies(),
    })
}

/// The number of replies, and whether the stream ends with one.
fn in_pieces(
    guard: Guard,
    requests: (&[u8], &[u8]),
    cuts: [usize; 2],
) -> Result<(usize, bool), PollError> {
    let mut frames = guard.frames();
    let mut replies = 0;
    for mut rest in [requests.0, requests.1] {
        frames.restart();
        for cut in cuts.into_iter().cycle() {
            let (piece, tail) = rest.split_at(cut.min(rest.len()));
            replies += frames.follow(piece)? as usize;
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
    }
    Ok((replies, frames.is_between_replies()))
}

/// Gives the parser what the guard has let through.
fn parsed(stream: &[u8], end: &End, guard: Guard) {
    let mut rest = stream;
    let mut before = 0;
    for &reply in &end.replies {
        let (frame, tail) = rest.split_at(reply - before);
        whole(frame, guard);
        (rest, before) = (tail, reply);
    }
    assert_eq!(rest.is_empty(), end.between_replies);
    assert!(
        redis::parse_redis_value(rest).is_err(),
        "the parser sees a whole reply in {rest:?}"
    );
}

/// One reply, as the guard sees it.
fn whole(frame: &[u8], guard: Guard) {
    let (_, unfinished) = frame.split_last().expect("a reply has bytes");
    assert!(
        redis::parse_redis_value(unfinished).is_err(),
        "the parser needs less than {frame:?}"
    );
    match redis::parse_redis_value(frame) {
        Ok(Value::Nil | Value::Okay | Value::Int(_) | Value::ServerError(_)) => {}
        Ok(Value::SimpleString(text)) => assert!(text.len() <= frame.len()),
        Ok(Value::BulkString(bytes)) => assert!(bytes.len() <= frame.len()),
        Ok(value) if guard.records => bounded(&value, frame.len(), 2),
        Ok(other) => panic!("no request asks for {other:?}"),
        Err(error) => assert!(
            !error.is_io_error(),
            "the parser waits for more than {frame:?}"
        ),
    }
}

/// No list has more elements than bytes came for them, and none lies deeper than a record in a
/// list.
fn bounded(value: &Value, bytes: usize, depth: usize) {
    let elements: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Map(fields) => fields
            .iter()
            .flat_map(|(name, value)| [name, value])
            .collect(),
        Value::SimpleString(text) => return assert!(text.len() <= bytes),
        Value::BulkString(text) => return assert!(text.len() <= bytes),
        Value::Nil | Value::Okay | Value::Int(_) | Value::ServerError(_) => return,
        other => panic!("no request asks for {other:?}"),
    };
    assert!(
        elements.len() <= bytes && depth > 0,
        "{} elements of {bytes} bytes",
        elements.len()
    );
    for element in elements {
        bounded(element, bytes, depth - 1);
    }
}
