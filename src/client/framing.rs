//! Where replies end: the only reader of RESP's framing, in front of the protocol's parser.
//!
//! The parser gets whole replies, and only those that a request of this program can have
//! (<https://redis.io/docs/latest/develop/reference/protocol-spec/>): simple strings, errors,
//! integers and bulk strings, and where the request's [`ReplyShape`] allows it arrays, maps and
//! pushes of bounded depth and number of elements. Without those bounds a hostile or broken server
//! could make the parser allocate many times what it sent.

use crate::model::PollError;

/// The longest simple string, error or length line. Redis's own errors stay below 1 KiB.
const MAX_LINE: usize = 64 * 1024;

/// How deeply the arrays and maps of [`ReplyShape::Records`] nest: records in a list.
const MAX_DEPTH: usize = 2;

/// The same for [`ReplyShape::Nested`]: a command has subcommands, which have key specifications,
/// which have flags.
const MAX_NESTED_DEPTH: usize = 8;

/// Elements of all arrays and maps that answer one request: some 6,000 masters with 20 fields each.
/// The parser makes room for what an array announces, at most 60 bytes an element, so this is
/// 16 MiB at worst.
const MAX_ELEMENTS: usize = 256 * 1024;

/// Elements of [`ReplyShape::Message`]: its kind, the channel, and the payload or a number.
const MAX_MESSAGE_ELEMENTS: usize = 3;

/// The first byte of a TLS alert (RFC 8446, 5.1): how a port that speaks TLS answers plain text.
const TLS_ALERT: u8 = 21;

/// What a request can be answered with, besides an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyShape {
    /// A simple string, an integer or a bulk string.
    Scalar,
    /// Also arrays and maps (RESP3) inside at most one other: a list of records.
    Records,
    /// Also arrays and maps inside several others: the answer of COMMAND INFO.
    Nested,
    /// Also an array (RESP2) or a push (RESP3) of scalars: a message of a subscribed channel.
    Message,
}

impl ReplyShape {
    const fn max_depth(self) -> usize {
        match self {
            Self::Scalar => 0,
            Self::Records => MAX_DEPTH,
            Self::Nested => MAX_NESTED_DEPTH,
            Self::Message => 1,
        }
    }

    const fn max_elements(self) -> usize {
        match self {
            Self::Scalar => 0,
            Self::Records | Self::Nested => MAX_ELEMENTS,
            Self::Message => MAX_MESSAGE_ELEMENTS,
        }
    }
}

/// Follows the replies in a byte stream, however it is cut into pieces. Keeps none of its bytes.
#[derive(Debug)]
pub struct Framing {
    shape: ReplyShape,
    limit: usize,
    /// Bytes since the start or the last [`Self::restart`]; never above the limit.
    taken: usize,
    /// Elements that arrays, maps and pushes may still announce.
    elements_left: usize,
    /// Elements that each open array, map or push still lacks, outermost first; never zero.
    open: Vec<usize>,
    state: FrameState,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum FrameState {
    /// The next byte is the first of a reply, or of an element of one.
    Start,
    /// Inside a line that ends with CRLF.
    Line { length: usize, after_cr: bool },
    /// Inside the length of a bulk string, an array, a map or a push.
    Length(LengthLine),
    /// Inside a bulk string, its CRLF included.
    Body { left: usize },
}

/// A length as far as it was read: digits, or `-1` for nil (which maps and pushes do not have), and
/// CRLF.
#[derive(Clone, Copy, Debug, PartialEq)]
struct LengthLine {
    kind: LengthKind,
    value: Option<usize>,
    is_negative: bool,
    after_cr: bool,
}

/// What begins with its length.
#[derive(Clone, Copy, Debug, PartialEq)]
enum LengthKind {
    Bulk,
    Array,
    Map,
    Push,
}

/// What a byte leads to.
#[derive(Clone, Copy)]
enum FrameStep {
    /// The reply, or the element, goes on.
    Continue(FrameState),
    /// The reply, or the element, is whole.
    Complete,
    /// An array, a map or a push of this many elements begins.
    Open(usize),
}

impl Framing {
    /// Expects replies of this shape that have at most `limit` bytes together.
    pub const fn new(shape: ReplyShape, limit: usize) -> Self {
        Self {
            shape,
            limit,
            taken: 0,
            elements_left: shape.max_elements(),
            open: Vec::new(),
            state: FrameState::Start,
        }
    }

    /// Counts bytes and elements from zero again. To be called between two replies.
    pub const fn restart(&mut self) {
        self.taken = 0;
        self.elements_left = self.shape.max_elements();
    }

    /// Follows `bytes` to the end of the current reply. Returns how many of them belong to it when
    /// it is whole, and `None` when all of them do and more have to come. After an error the stream
    /// cannot be used any more.
    ///
    /// # Errors
    /// The first byte that is wrong decides, however the stream is cut: [`PollError::TooLarge`] as
    /// soon as a reply is, or announces to be, longer than the limit or has too many elements;
    /// [`PollError::Protocol`] for bytes that begin no reply of the expected shape;
    /// [`PollError::Tls`] for a TLS alert.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, PollError> {
        let room = self.limit - self.taken;
        let within = bytes.get(..room).unwrap_or(bytes);
        let end = self.scan(within)?;
        self.taken += end.unwrap_or(within.len());
        if end.is_none() && within.len() < bytes.len() {
            return Err(PollError::TooLarge);
        }
        Ok(end)
    }

    /// Whether no reply has begun that is not whole.
    pub fn is_between_replies(&self) -> bool {
        self.state == FrameState::Start && self.open.is_empty()
    }

    fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, PollError> {
        let mut consumed = 0;
        while let Some(rest @ [first, ..]) = bytes.get(consumed..) {
            let (count, step) = self.next_step(*first, rest.len())?;
            consumed += count;
            if self.take(step)? {
                return Ok(Some(consumed));
            }
        }
        Ok(None)
    }

    /// Reads the next of `available` bytes, of which `first` is the first: one, or as much of a
    /// bulk string as has come. Returns how many were read, and what they lead to.
    fn next_step(&self, first: u8, available: usize) -> Result<(usize, FrameStep), PollError> {
        let step = match self.state {
            FrameState::Start => FrameStep::Continue(self.begin(first)?),
            FrameState::Line { length, after_cr } => after_line_byte(first, length, after_cr)?,
            FrameState::Length(line) => self.after_length_byte(first, line)?,
            FrameState::Body { left } => {
                let body = left.min(available);
                return Ok((body, after_body(left - body)));
            }
        };
        Ok((1, step))
    }

    /// Takes a step. Whether it completes the reply.
    fn take(&mut self, step: FrameStep) -> Result<bool, PollError> {
        self.state = FrameState::Start;
        match step {
            FrameStep::Continue(state) => self.state = state,
            FrameStep::Complete | FrameStep::Open(0) => return Ok(self.close_element()),
            FrameStep::Open(elements) => {
                let left = self.elements_left.checked_sub(elements);
                self.elements_left = left.ok_or(PollError::TooLarge)?;
                self.open.push(elements);
            }
        }
        Ok(false)
    }

    /// An element is whole, and with it every array, map and push that it was the last one of.
    /// Whether the reply is.
    fn close_element(&mut self) -> bool {
        while let Some(lacking) = self.open.last_mut() {
            *lacking -= 1;
            if *lacking > 0 {
                return false;
            }
            self.open.pop();
        }
        true
    }

    /// The state after the first byte of a reply, or of an element.
    fn begin(&self, byte: u8) -> Result<FrameState, PollError> {
        let kind = match byte {
            TLS_ALERT => return Err(PollError::Tls),
            b'+' | b'-' | b':' => {
                return Ok(FrameState::Line {
                    length: 0,
                    after_cr: false,
                });
            }
            b'$' => LengthKind::Bulk,
            b'*' if self.may_nest() => LengthKind::Array,
            b'%' if self.may_nest() && self.shape == ReplyShape::Records => LengthKind::Map,
            b'>' if self.may_nest() && self.shape == ReplyShape::Message => LengthKind::Push,
            _ => return Err(PollError::Protocol),
        };
        Ok(FrameState::Length(LengthLine {
            kind,
            value: None,
            is_negative: false,
            after_cr: false,
        }))
    }

    fn may_nest(&self) -> bool {
        self.open.len() < self.shape.max_depth()
    }

    fn after_length_byte(&self, byte: u8, line: LengthLine) -> Result<FrameStep, PollError> {
        if line.after_cr {
            return if byte == b'\n' {
                line.complete()
            } else {
                Err(PollError::Protocol)
            };
        }
        let max = match line.kind {
            LengthKind::Bulk => self.limit,
            LengthKind::Array | LengthKind::Map | LengthKind::Push => self.shape.max_elements(),
        };
        let line = line.push(byte, max)?;
        Ok(FrameStep::Continue(FrameState::Length(line)))
    }
}

impl LengthLine {
    /// The line with one more `byte`; its number may not exceed `max`.
    fn push(self, byte: u8, max: usize) -> Result<Self, PollError> {
        match byte {
            b'\r' if self.value.is_some() => Ok(Self {
                after_cr: true,
                ..self
            }),
            b'-' if self.may_be_negative() => Ok(Self {
                is_negative: true,
                ..self
            }),
            b'0'..=b'9' => self.push_digit(usize::from(byte - b'0'), max),
            _ => Err(PollError::Protocol),
        }
    }

    fn push_digit(self, digit: usize, max: usize) -> Result<Self, PollError> {
        let value = self.value.unwrap_or(0);
        let value = value.saturating_mul(10).saturating_add(digit);
        if value > max {
            return Err(PollError::TooLarge);
        }
        Ok(Self {
            value: Some(value),
            ..self
        })
    }

    fn may_be_negative(self) -> bool {
        let has_nil = matches!(self.kind, LengthKind::Bulk | LengthKind::Array);
        has_nil && !self.is_negative && self.value.is_none()
    }

    /// What follows the line.
    fn complete(self) -> Result<FrameStep, PollError> {
        let length = match (self.value, self.is_negative) {
            (Some(length), false) => length,
            (Some(1), true) => return Ok(FrameStep::Complete),
            _ => return Err(PollError::Protocol),
        };
        Ok(match self.kind {
            LengthKind::Bulk => FrameStep::Continue(FrameState::Body {
                left: length.saturating_add(2),
            }),
            LengthKind::Array | LengthKind::Push => FrameStep::Open(length),
            LengthKind::Map => FrameStep::Open(length.saturating_mul(2)),
        })
    }
}

fn after_line_byte(byte: u8, length: usize, after_cr: bool) -> Result<FrameStep, PollError> {
    if after_cr && byte == b'\n' {
        return Ok(FrameStep::Complete);
    }
    if length == MAX_LINE {
        return Err(PollError::TooLarge);
    }
    Ok(FrameStep::Continue(FrameState::Line {
        length: length + 1,
        after_cr: byte == b'\r',
    }))
}

fn after_body(left: usize) -> FrameStep {
    if left == 0 {
        FrameStep::Complete
    } else {
        FrameStep::Continue(FrameState::Body { left })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1024;

    /// How many replies `framing` finds in `bytes`, cut into pieces of `size`.
    fn count_in_pieces(framing: &mut Framing, bytes: &[u8], size: usize) -> Result<u32, PollError> {
        let mut replies = 0;
        for mut piece in bytes.chunks(size) {
            while let Some(length) = framing.advance(piece)? {
                replies += 1;
                piece = &piece[length..];
            }
        }
        Ok(replies)
    }

    fn count(shape: ReplyShape, bytes: &[u8]) -> Result<u32, PollError> {
        count_in_pieces(&mut Framing::new(shape, LIMIT), bytes, bytes.len().max(1))
    }

    fn check(bytes: &str, expected: Result<u32, PollError>) {
        assert_eq!(
            count(ReplyShape::Scalar, bytes.as_bytes()),
            expected,
            "{bytes:?}"
        );
    }

    fn check_records(bytes: &str, expected: Result<u32, PollError>) {
        assert_eq!(
            count(ReplyShape::Records, bytes.as_bytes()),
            expected,
            "{bytes:?}"
        );
    }

    fn check_message(bytes: &str, expected: Result<u32, PollError>) {
        assert_eq!(
            count(ReplyShape::Message, bytes.as_bytes()),
            expected,
            "{bytes:?}"
        );
    }

    #[test]
    fn whole_replies_are_counted() {
        check("+OK\r\n", Ok(1));
        check("-ERR no\r\n", Ok(1));
        check("$5\r\na\r\nbc\r\n", Ok(1));
        check("$0\r\n\r\n", Ok(1));
        check("$-1\r\n", Ok(1));
        check("+a\rb\r\n:7\r\n$1\r\nx\r\n", Ok(3));
    }

    #[test]
    fn an_incomplete_reply_is_not_counted() {
        check("+OK\r", Ok(0));
        check("$5\r\nabcde\r", Ok(0));
        check("$5", Ok(0));
    }

    #[test]
    fn a_reply_ends_where_the_next_begins() {
        let mut framing = Framing::new(ReplyShape::Scalar, LIMIT);
        assert_eq!(framing.advance(b"$1\r\nx\r\n+OK\r\n"), Ok(Some(7)));
        assert!(framing.is_between_replies());
        assert_eq!(framing.advance(b"+OK\r"), Ok(None));
        assert!(!framing.is_between_replies());
        assert_eq!(framing.advance(b"\n:1\r\n"), Ok(Some(1)));
    }

    #[test]
    fn a_reply_of_an_unexpected_kind_is_refused_at_its_first_byte() {
        for bytes in [
            "*1000000000\r\n",
            "%1\r\n",
            ">1\r\n",
            "HTTP/1.1 200 OK\r\n",
            "\r\n",
            "$\r\n",
            "$1x",
            "$--1",
            "$-2\r\n",
            "$1\ra",
        ] {
            check(bytes, Err(PollError::Protocol));
        }
    }

    #[test]
    fn a_tls_alert_is_recognized() {
        check("\u{15}\u{3}\u{3}", Err(PollError::Tls));
    }

    #[test]
    fn records_are_counted_as_one_reply() {
        check_records("*0\r\n*-1\r\n%0\r\n", Ok(3));
        check_records("*2\r\n$1\r\na\r\n:1\r\n", Ok(1));
        check_records("*2\r\n*2\r\n+a\r\n+b\r\n*0\r\n+OK\r\n", Ok(2));
        check_records("*1\r\n%2\r\n+a\r\n+b\r\n+c\r\n$-1\r\n", Ok(1));
        check_records("*2\r\n*-1\r\n-ERR no\r\n", Ok(1));
        check_records("*2\r\n*1\r\n+a\r\n", Ok(0));
        check_records("%1\r\n+a\r\n", Ok(0));
    }

    #[test]
    fn records_have_a_bounded_depth_and_number_of_elements() {
        check_records("*1\r\n*1\r\n*1\r\n", Err(PollError::Protocol));
        check_records("*1\r\n*1\r\n+a\r\n*1\r\n*1\r\n+a\r\n", Ok(2));
        check_records("%-1\r\n", Err(PollError::Protocol));
        check_records("*-2\r\n", Err(PollError::Protocol));
        check_records("~1\r\n", Err(PollError::Protocol));
        check_records(">1\r\n", Err(PollError::Protocol));
        check_records(
            &format!("*{}\r\n", MAX_ELEMENTS + 1),
            Err(PollError::TooLarge),
        );
        check_records(
            &format!("*2\r\n*{MAX_ELEMENTS}\r\n"),
            Err(PollError::TooLarge),
        );
        check_records(
            &format!("%{}\r\n", MAX_ELEMENTS / 2 + 1),
            Err(PollError::TooLarge),
        );
        check_records(&format!("*{MAX_ELEMENTS}\r\n"), Ok(0));
    }

    #[test]
    fn nested_answers_have_a_bounded_depth() {
        let lists = |depth: usize| "*1\r\n".repeat(depth) + "+a\r\n";
        let nested = |depth: usize, expected| {
            let lists = lists(depth);
            assert_eq!(count(ReplyShape::Nested, lists.as_bytes()), expected);
        };
        nested(MAX_NESTED_DEPTH, Ok(1));
        nested(MAX_NESTED_DEPTH + 1, Err(PollError::Protocol));
    }

    #[test]
    fn a_message_is_one_array_or_push_of_three_scalars() {
        check_message("*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$1\r\n1\r\n", Ok(1));
        check_message(">3\r\n+message\r\n+ch\r\n:1\r\n", Ok(1));
        check_message("-NOPERM no\r\n", Ok(1));
        check_message("*1\r\n*1\r\n", Err(PollError::Protocol));
        check_message(">-1\r\n", Err(PollError::Protocol));
        check_message("%1\r\n", Err(PollError::Protocol));
        check_message("*4\r\n", Err(PollError::TooLarge));
        check_message("*3\r\n$1025\r\n", Err(PollError::TooLarge));
    }

    #[test]
    fn a_reply_is_refused_as_soon_as_it_announces_too_much() {
        check("$1025\r\n", Err(PollError::TooLarge));
        check("$99999999999999999999999", Err(PollError::TooLarge));
        check(&format!("+{}", "a".repeat(LIMIT)), Err(PollError::TooLarge));
        // Even where there is hardly a limit, no announced length overflows.
        let unlimited = || Framing::new(ReplyShape::Scalar, usize::MAX);
        for digits in [19, 40] {
            let announced = format!("${}\r\n", "9".repeat(digits));
            assert_eq!(unlimited().advance(announced.as_bytes()), Ok(None));
        }
        let endless = unlimited().advance("+".repeat(MAX_LINE + 2).as_bytes());
        assert_eq!(endless, Err(PollError::TooLarge));
    }

    #[test]
    fn all_replies_to_one_request_share_its_limit() {
        let mut framing = Framing::new(ReplyShape::Scalar, 8);
        assert_eq!(framing.advance(b"+OK\r\n"), Ok(Some(5)));
        assert_eq!(framing.advance(b"+OK\r\n"), Err(PollError::TooLarge));
        let mut framing = Framing::new(ReplyShape::Scalar, 8);
        assert_eq!(framing.advance(b"+OK\r\n"), Ok(Some(5)));
        framing.restart();
        assert_eq!(framing.advance(b"+OK\r\n"), Ok(Some(5)));
        let mut framing = Framing::new(ReplyShape::Message, LIMIT);
        for _ in 0..3 {
            framing.restart();
            assert_eq!(framing.advance(b"*3\r\n+a\r\n+b\r\n:1\r\n"), Ok(Some(16)));
        }
    }

    #[test]
    fn the_first_wrong_byte_decides_however_the_stream_is_cut() {
        let end = |stream: &[u8], size: usize| {
            count_in_pieces(&mut Framing::new(ReplyShape::Scalar, 8), stream, size)
        };
        for size in 1..12 {
            assert_eq!(
                end(b"+OK\r\n*12345", size),
                Err(PollError::Protocol),
                "{size}"
            );
            assert_eq!(
                end(b"+OKOKOK*****", size),
                Err(PollError::TooLarge),
                "{size}"
            );
            assert_eq!(
                end(b"+OKOK\r\n:*", size),
                Err(PollError::TooLarge),
                "{size}"
            );
        }
    }

    fn any_shape() -> impl Strategy<Value = ReplyShape> {
        prop_oneof![
            Just(ReplyShape::Scalar),
            Just(ReplyShape::Records),
            Just(ReplyShape::Message),
        ]
    }

    proptest! {
        #[test]
        fn how_the_stream_is_cut_changes_nothing(
            replies in proptest::collection::vec("[a-z\r]{0,20}", 1..6),
            sizes in proptest::collection::vec(1_usize..7, 1..40),
        ) {
            let bulks = replies.iter().map(|body| crate::client::testing::bulk(body));
            let stream = bulks.collect::<String>();
            let mut framing = Framing::new(ReplyShape::Scalar, LIMIT);
            let mut rest = stream.as_bytes();
            let mut seen = 0;
            for size in sizes.iter().cycle() {
                let (piece, tail) = rest.split_at((*size).min(rest.len()));
                seen += count_in_pieces(&mut framing, piece, piece.len()).unwrap();
                rest = tail;
                if rest.is_empty() { break; }
            }
            prop_assert_eq!(seen as usize, replies.len());
            prop_assert!(framing.is_between_replies());
        }

        #[test]
        fn no_bytes_make_it_panic(
            shape in any_shape(),
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = count(shape, &bytes);
        }

        #[test]
        fn replies_of_every_shape_end_where_they_end_however_they_are_cut(
            shape in any_shape(),
            bytes in proptest::collection::vec(
                proptest::sample::select(b"*%$>+:-0123\r\na".as_slice()), 0..60),
            size in 1_usize..9,
        ) {
            let pieces = count_in_pieces(&mut Framing::new(shape, LIMIT), &bytes, size);
            prop_assert_eq!(count(shape, &bytes), pieces);
        }
    }
}
