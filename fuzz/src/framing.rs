//! The replies of a Redis server: the framing in front of the protocol's parser, and that parser
//! behind it.

use redis::Value;
use redis_cross_dc_exporter::client::{Framing, MAX_REPLY, ReplyShape};
use redis_cross_dc_exporter::model::PollError;

/// Room for a word, for some replies, what the program allows, and none but what memory gives.
const LIMITS: [u64; 4] = [12, 300, MAX_REPLY.get(), u64::MAX];

const SHAPES: [ReplyShape; 4] = [
    ReplyShape::Scalar,
    ReplyShape::Records,
    ReplyShape::Nested,
    ReplyShape::Message,
];

/// What the replies to one request may be.
#[derive(Clone, Copy)]
struct Expected {
    limit: usize,
    shape: ReplyShape,
}

impl Expected {
    fn framing(self) -> Framing {
        Framing::new(self.shape, self.limit)
    }
}

/// What the framing has found at the end of a stream.
#[derive(Debug, PartialEq)]
struct End {
    /// Where replies end.
    replies: Vec<usize>,
    between_replies: bool,
}

/// The first byte chooses the limit and the shape; the second where the limits are counted from
/// zero again, if a reply ends there; the third and fourth how the stream is cut; the others are
/// the stream. However it is cut, the framing finds the same; it lets nothing above the limit
/// through; and the parser finds the replies that the framing has found, or refuses them: it never
/// waits for more.
pub fn run(data: &[u8]) {
    let [kind, next, one, other, stream @ ..] = data else {
        return;
    };
    let limit = usize::try_from(LIMITS[usize::from(kind % 4)]).unwrap_or(usize::MAX);
    let shape = SHAPES[usize::from(kind / 4) % SHAPES.len()];
    let expected = Expected { limit, shape };
    let restart = stream.len() * usize::from(*next) / 256;
    let end = in_pieces(expected, stream, restart, [1, 1]);
    let cuts = [one, other].map(|cut| usize::from(cut % 64) + 1);
    assert_eq!(
        in_pieces(expected, stream, restart, cuts),
        end,
        "in pieces of {cuts:?}"
    );
    assert_eq!(
        in_pieces(expected, stream, restart, [stream.len().max(1); 2]),
        end,
        "in one piece"
    );
    if let Ok(end) = end {
        check_limit(stream.len(), &end, restart, limit);
        parsed(stream, &end, expected);
    }
}

/// Where replies end in a stream that comes in pieces of these sizes, in turn. Restarts at the
/// first reply that ends at `restart` or behind it.
fn in_pieces(
    expected: Expected,
    stream: &[u8],
    restart: usize,
    sizes: [usize; 2],
) -> Result<End, PollError> {
    let mut framing = expected.framing();
    let mut restarted = false;
    let mut replies = Vec::new();
    let mut at = 0;
    let mut rest = stream;
    for size in sizes.into_iter().cycle() {
        let (mut piece, tail) = rest.split_at(size.min(rest.len()));
        while let Some(length) = framing.advance(piece)? {
            assert!(0 < length && length <= piece.len());
            piece = &piece[length..];
            at += length;
            replies.push(at);
            if at >= restart && !restarted {
                restarted = true;
                framing.restart();
            }
        }
        at += piece.len();
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    Ok(End {
        replies,
        between_replies: framing.is_between_replies(),
    })
}

/// Neither before the restart nor behind it did more than `limit` bytes come through.
fn check_limit(length: usize, end: &End, restart: usize, limit: usize) {
    let restarted = end.replies.iter().find(|at| **at >= restart);
    let first = restarted.copied().unwrap_or(length);
    assert!(
        first <= limit && length - first <= limit,
        "more than {limit} bytes"
    );
}

/// Gives the parser what the framing has let through.
fn parsed(stream: &[u8], end: &End, expected: Expected) {
    let mut rest = stream;
    let mut before = 0;
    for &reply in &end.replies {
        let (frame, tail) = rest.split_at(reply - before);
        whole(frame, expected);
        rest = tail;
        before = reply;
    }
    assert_eq!(rest.is_empty(), end.between_replies);
    assert!(
        redis::parse_redis_value(rest).is_err(),
        "the parser sees a whole reply in {rest:?}"
    );
}

/// One reply, as the framing sees it.
fn whole(frame: &[u8], expected: Expected) {
    let (_, unfinished) = frame.split_last().expect("a reply has bytes");
    assert!(
        redis::parse_redis_value(unfinished).is_err(),
        "the parser needs less than {frame:?}"
    );
    match redis::parse_redis_value(frame) {
        Ok(value) => bounded(&value, frame.len(), max_depth(expected.shape)),
        Err(error) => assert!(
            !error.is_io_error(),
            "the parser waits for more than {frame:?}"
        ),
    }
}

fn max_depth(shape: ReplyShape) -> usize {
    match shape {
        ReplyShape::Scalar => 0,
        ReplyShape::Records => 2,
        ReplyShape::Nested => 8,
        ReplyShape::Message => 1,
    }
}

/// No list has more elements than bytes came for them, and none lies deeper than the shape allows.
fn bounded(value: &Value, bytes: usize, depth: usize) {
    let elements: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Push { data, .. } => data.iter().collect(),
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
