//! Where replies begin and end in the bytes that a server sends: the guard in front of the
//! protocol's parser.
//!
//! Only the replies that this program's requests can have are let through: simple strings, errors,
//! integers and bulk strings (<https://redis.io/docs/latest/develop/reference/protocol-spec/>), and
//! from Sentinels, whose answers are lists of records, arrays and maps with a bounded number of
//! elements. An array without such a bound would let a hostile or broken server make the parser
//! allocate many times what was sent.

use crate::model::PollError;

/// The longest simple string, error or length line that is let through. Redis's own errors stay
/// below 1 KiB.
const MAX_LINE: usize = 64 * 1024;

/// How deep arrays and maps may lie in one another: a list of records.
const MAX_DEPTH: usize = 2;

/// The elements of all arrays and maps that answer one request: some 6,000 masters with 20 fields
/// each. The parser makes room for what an array announces, at most 60 bytes an element, so this is
/// 16 MiB at the worst.
const MAX_ELEMENTS: usize = 256 * 1024;

/// Follows the frames of a byte stream; how it is cut into pieces changes nothing. Keeps no byte of
/// it.
#[derive(Debug)]
pub struct ReplyFrames {
    limit: usize,
    /// Never above the limit.
    taken: usize,
    /// How many elements arrays and maps may have; none at all where no request is answered with
    /// any.
    most_elements: usize,
    /// Elements that arrays and maps may still announce.
    elements: usize,
    /// Elements that the open arrays and maps still lack, outermost first. None of them is zero.
    open: [usize; MAX_DEPTH],
    /// How many of them are open.
    depth: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// The next byte is the first of a reply, or of an element of one.
    Start,
    /// Inside a line that ends with CRLF.
    Line { length: usize, after_cr: bool },
    /// Inside the length of a bulk string, an array or a map.
    Length {
        of: Counted,
        value: Option<usize>,
        nil: bool,
        after_cr: bool,
    },
    /// Inside a bulk string, its CRLF included.
    Body { left: usize },
}

/// What begins with its length.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Counted {
    Bulk,
    Array,
    Map,
}

/// What a byte leads to.
#[derive(Clone, Copy)]
enum Step {
    /// The reply, or the element, goes on.
    Within(State),
    /// It is whole.
    Whole,
    /// An array or a map of this many elements begins.
    Opened(usize),
}

impl ReplyFrames {
    /// Frames of at most `limit` bytes between two calls of [`Self::restart`].
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            taken: 0,
            most_elements: 0,
            elements: 0,
            open: [0; MAX_DEPTH],
            depth: 0,
            state: State::Start,
        }
    }

    /// The same for answers that may be lists of records: arrays, and maps (RESP3), at most one
    /// inside the other.
    pub const fn of_records(limit: usize) -> Self {
        Self {
            most_elements: MAX_ELEMENTS,
            elements: MAX_ELEMENTS,
            ..Self::new(limit)
        }
    }

    /// A new request is being sent: the bytes of its replies are counted from zero.
    pub const fn restart(&mut self) {
        self.taken = 0;
        self.elements = self.most_elements;
    }

    /// Whether the bytes so far end with a whole reply.
    pub fn is_between_replies(&self) -> bool {
        self.state == State::Start && self.depth == 0
    }

    /// Follows `bytes` and returns how many replies they complete. After an error the stream is of
    /// no use any more.
    ///
    /// # Errors
    /// [`PollError::TooLarge`] as soon as a reply is, or announces to be, longer than the limit, or
    /// has too many elements; [`PollError::Protocol`] for bytes that begin no reply of the kinds
    /// above, [`PollError::Tls`] for a TLS alert. The first byte that is wrong tells which, however
    /// the stream is cut.
    pub fn follow(&mut self, bytes: &[u8]) -> Result<u32, PollError> {
        let (within, beyond) = bytes.split_at(bytes.len().min(self.limit - self.taken));
        self.taken += within.len();
        let replies = self.completed_by(within)?;
        if beyond.is_empty() {
            Ok(replies)
        } else {
            Err(PollError::TooLarge)
        }
    }

    fn completed_by(&mut self, bytes: &[u8]) -> Result<u32, PollError> {
        let mut rest = bytes;
        let mut replies = 0;
        while let Some((&byte, tail)) = rest.split_first() {
            let step = if let State::Body { left } = self.state {
                let skipped = left.min(rest.len());
                rest = &rest[skipped..];
                if skipped == left {
                    Step::Whole
                } else {
                    Step::Within(State::Body {
                        left: left - skipped,
                    })
                }
            } else {
                rest = tail;
                self.after(byte)?
            };
            replies += u32::from(self.take(step)?);
        }
        Ok(replies)
    }

    /// Takes a step; whether it completes a reply.
    fn take(&mut self, step: Step) -> Result<bool, PollError> {
        self.state = State::Start;
        match step {
            Step::Within(state) => self.state = state,
            Step::Whole | Step::Opened(0) => return Ok(self.close()),
            Step::Opened(elements) => {
                self.elements = self
                    .elements
                    .checked_sub(elements)
                    .ok_or(PollError::TooLarge)?;
                *self.open.get_mut(self.depth).ok_or(PollError::Protocol)? = elements;
                self.depth += 1;
            }
        }
        Ok(false)
    }

    /// An element is whole, and with it every array and map whose last one it is. Whether the reply
    /// is.
    fn close(&mut self) -> bool {
        while let Some(last) = self.depth.checked_sub(1) {
            self.open[last] -= 1;
            if self.open[last] > 0 {
                return false;
            }
            self.depth = last;
        }
        true
    }

    fn after(&self, byte: u8) -> Result<Step, PollError> {
        let within = |state| Ok(Step::Within(state));
        match self.state {
            State::Start => within(self.begin(byte)?),
            State::Line { after_cr: true, .. } if byte == b'\n' => Ok(Step::Whole),
            State::Line {
                length: MAX_LINE, ..
            } => Err(PollError::TooLarge),
            State::Line { length, .. } => within(State::Line {
                length: length + 1,
                after_cr: byte == b'\r',
            }),
            State::Length {
                of,
                value,
                nil,
                after_cr: true,
            } if byte == b'\n' => after_length(of, value, nil),
            State::Length { after_cr: true, .. } => Err(PollError::Protocol),
            State::Length { of, value, nil, .. } => {
                within(self.within_length(byte, of, value, nil)?)
            }
            State::Body { left } => within(State::Body { left }),
        }
    }

    fn begin(&self, byte: u8) -> Result<State, PollError> {
        let of = match byte {
            TLS_ALERT => return Err(PollError::Tls),
            b'+' | b'-' | b':' => {
                return Ok(State::Line {
                    length: 0,
                    after_cr: false,
                });
            }
            b'$' => Counted::Bulk,
            b'*' if self.may_nest() => Counted::Array,
            b'%' if self.may_nest() => Counted::Map,
            _ => return Err(PollError::Protocol),
        };
        Ok(State::Length {
            of,
            value: None,
            nil: false,
            after_cr: false,
        })
    }

    fn may_nest(&self) -> bool {
        self.most_elements > 0 && self.depth < MAX_DEPTH
    }

    /// A length is digits, or `-1` for nil (of a map there is none), and CRLF.
    fn within_length(
        &self,
        byte: u8,
        of: Counted,
        value: Option<usize>,
        nil: bool,
    ) -> Result<State, PollError> {
        match (byte, value) {
            (b'\r', Some(_)) => Ok(State::Length {
                of,
                value,
                nil,
                after_cr: true,
            }),
            (b'-', None) if !nil && of != Counted::Map => Ok(State::Length {
                of,
                value,
                nil: true,
                after_cr: false,
            }),
            (b'0'..=b'9', _) => {
                let length = value
                    .unwrap_or(0)
                    .saturating_mul(10)
                    .saturating_add(usize::from(byte - b'0'));
                let most = if of == Counted::Bulk {
                    self.limit
                } else {
                    self.most_elements
                };
                if length > most {
                    return Err(PollError::TooLarge);
                }
                Ok(State::Length {
                    of,
                    value: Some(length),
                    nil,
                    after_cr: false,
                })
            }
            _ => Err(PollError::Protocol),
        }
    }
}

/// What comes after a length.
fn after_length(of: Counted, value: Option<usize>, nil: bool) -> Result<Step, PollError> {
    match (of, value) {
        (_, Some(1)) if nil => Ok(Step::Whole),
        (Counted::Bulk, Some(length)) if !nil => Ok(Step::Within(State::Body {
            left: length.saturating_add(2),
        })),
        (Counted::Array, Some(elements)) if !nil => Ok(Step::Opened(elements)),
        (Counted::Map, Some(entries)) if !nil => Ok(Step::Opened(entries.saturating_mul(2))),
        _ => Err(PollError::Protocol),
    }
}

/// The first byte of a TLS alert (RFC 8446, 5.1). A port that speaks TLS answers so to plain text.
const TLS_ALERT: u8 = 21;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1024;

    fn check(bytes: &str, expected: Result<u32, PollError>) {
        assert_eq!(
            ReplyFrames::new(LIMIT).follow(bytes.as_bytes()),
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
    fn a_reply_that_goes_on_is_not_counted() {
        check("+OK\r", Ok(0));
        check("$5\r\nabcde\r", Ok(0));
        check("$5", Ok(0));
    }

    #[test]
    fn what_no_request_asks_for_is_refused_at_its_first_byte() {
        for bytes in [
            "*1000000000\r\n",
            "%1\r\n",
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

    fn check_records(bytes: &str, expected: Result<u32, PollError>) {
        assert_eq!(
            ReplyFrames::of_records(LIMIT).follow(bytes.as_bytes()),
            expected,
            "{bytes:?}"
        );
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
        let mut frames = ReplyFrames::of_records(LIMIT);
        for _ in 0..3 {
            frames.restart();
            assert_eq!(frames.follow(b"*2\r\n+a\r\n+b\r\n"), Ok(1));
        }
    }

    #[test]
    fn a_reply_is_too_large_as_soon_as_it_says_so() {
        check("$1025\r\n", Err(PollError::TooLarge));
        check("$99999999999999999999999", Err(PollError::TooLarge));
        check(&format!("+{}", "a".repeat(LIMIT)), Err(PollError::TooLarge));
        // Even where there is hardly a limit, no announced length overflows.
        let announced = |digits: usize| {
            ReplyFrames::new(usize::MAX).follow(format!("${}\r\n", "9".repeat(digits)).as_bytes())
        };
        assert_eq!((announced(19), announced(40)), (Ok(0), Ok(0)));
        let endless = ReplyFrames::new(usize::MAX).follow("+".repeat(MAX_LINE + 2).as_bytes());
        assert_eq!(endless, Err(PollError::TooLarge));
    }

    #[test]
    fn a_new_request_has_the_whole_limit_again() {
        let mut frames = ReplyFrames::new(8);
        assert_eq!(frames.follow(b"+OK\r\n"), Ok(1));
        assert_eq!(frames.follow(b"+OK\r\n"), Err(PollError::TooLarge));
        let mut frames = ReplyFrames::new(8);
        assert_eq!(frames.follow(b"+OK\r\n"), Ok(1));
        frames.restart();
        assert_eq!(frames.follow(b"+OK\r\n"), Ok(1));
    }

    #[test]
    fn the_first_wrong_byte_tells_the_reason_however_the_stream_is_cut() {
        let end = |stream: &[u8], cut: usize| {
            let mut frames = ReplyFrames::new(8);
            stream
                .chunks(cut)
                .try_for_each(|piece| frames.follow(piece).map(|_| ()))
        };
        for cut in 1..12 {
            assert_eq!(
                end(b"+OK\r\n*12345", cut),
                Err(PollError::Protocol),
                "{cut}"
            );
            assert_eq!(end(b"+OKOKOK*****", cut), Err(PollError::TooLarge), "{cut}");
            assert_eq!(end(b"+OKOK\r\n:*", cut), Err(PollError::TooLarge), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn how_the_stream_is_cut_changes_nothing(
            replies in proptest::collection::vec("[a-z\r]{0,20}", 1..6),
            cuts in proptest::collection::vec(1_usize..7, 1..40),
        ) {
            let stream = replies.iter().map(|body| crate::client::testing::bulk(body)).collect::<Vec<_>>().concat();
            let mut frames = ReplyFrames::new(LIMIT);
            let mut rest = stream.as_bytes();
            let mut seen = 0;
            for cut in cuts.iter().cycle() {
                let (piece, tail) = rest.split_at((*cut).min(rest.len()));
                seen += frames.follow(piece).unwrap();
                rest = tail;
                if rest.is_empty() { break; }
            }
            prop_assert_eq!(seen as usize, replies.len());
            prop_assert!(frames.is_between_replies());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ReplyFrames::new(LIMIT).follow(&bytes);
        }

        #[test]
        fn however_records_are_cut_the_same_is_said(
            bytes in proptest::collection::vec(proptest::sample::select(b"*%$+:-0123\r\na".as_slice()), 0..60),
            cut in 1_usize..9,
        ) {
            let whole = ReplyFrames::of_records(LIMIT).follow(&bytes);
            let mut frames = ReplyFrames::of_records(LIMIT);
            let pieces = bytes.chunks(cut).try_fold(0, |sum, piece| frames.follow(piece).map(|more| sum + more));
            prop_assert_eq!(whole, pieces);
        }
    }
}
