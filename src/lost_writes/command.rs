//! Splits a replication stream into its commands.
//!
//! A master sends its replicas what changes its data set as RESP arrays of bulk strings, one after
//! the other (`feedReplicationBuffer` in replication.c). The stream has no other elements once the
//! reply to PSYNC is read, and nobody says where a command ends: it ends where the next begins.

use std::ops::Range;

/// The longest `*N` or `$N` line, its end included: a length has at most 20 digits.
const MAX_LENGTH_LINE: usize = 24;

/// The most arguments of one command. Redis takes 1 Mi of them from a client; scripts and modules
/// may send more in one.
const MAX_ARGUMENTS: usize = 8 * 1024 * 1024;

/// Why a stream is no sequence of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// There is no command at this offset of the stream.
    #[error("byte {at} of the stream begins no command")]
    NoCommand {
        /// Bytes of the stream before it.
        at: u64,
    },
    /// One command is longer than all that may be read.
    #[error("the command at byte {at} of the stream is longer than the limit")]
    TooLong {
        /// Bytes of the stream before it.
        at: u64,
    },
}

/// One command of the stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamCommand<'a> {
    bytes: &'a [u8],
    arguments: &'a [Range<usize>],
}

impl<'a> StreamCommand<'a> {
    /// The command as it stands in the stream.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The argument at `index`; 0 is the command's name.
    pub fn argument(&self, index: usize) -> Option<&'a [u8]> {
        self.bytes.get(self.arguments.get(index)?.clone())
    }

    /// The number of arguments, the name included; at least 1.
    pub const fn len(&self) -> usize {
        self.arguments.len()
    }

    /// Whether there are no arguments, which no command is without.
    pub const fn is_empty(&self) -> bool {
        self.arguments.is_empty()
    }

    /// The name in upper case; characters that no name has are replaced.
    pub fn name(&self) -> String {
        let name = self.argument(0).unwrap_or_default();
        let shown = |byte: &u8| {
            if byte.is_ascii_graphic() {
                char::from(byte.to_ascii_uppercase())
            } else {
                '?'
            }
        };
        name.iter().take(MAX_NAME).map(shown).collect()
    }

    /// Whether the argument at `index` is `word`, upper and lower case alike.
    pub fn has(&self, index: usize, word: &str) -> bool {
        self.argument(index)
            .is_some_and(|argument| argument.eq_ignore_ascii_case(word.as_bytes()))
    }
}

/// The longest name of a command that is shown.
const MAX_NAME: usize = 64;

/// Takes a stream in pieces, however it is cut, and returns its commands. Keeps in memory what has
/// come of the command that is not whole yet.
#[derive(Debug)]
pub struct CommandParser {
    /// From the beginning of the command that is not whole.
    buffer: Vec<u8>,
    /// The next byte of the buffer to look at.
    at: usize,
    /// The arguments so far, as ranges of the buffer.
    arguments: Vec<Range<usize>>,
    /// How many arguments lack; `None` before the line that says so.
    left: Option<usize>,
    /// The length of the argument whose bytes come next.
    bulk: Option<usize>,
    /// Bytes of whole commands.
    parsed: u64,
    /// The longest command.
    limit: usize,
}

/// What the parser has found.
enum Step {
    /// More bytes are needed.
    Wait,
    /// Something that is no whole command yet.
    Part,
    /// The end of a command.
    Command,
}

impl CommandParser {
    /// A parser at the beginning of a command, for commands of at most `limit` bytes.
    pub const fn new(limit: usize) -> Self {
        Self {
            buffer: Vec::new(),
            at: 0,
            arguments: Vec::new(),
            left: None,
            bulk: None,
            parsed: 0,
            limit,
        }
    }

    /// Bytes of the commands that were whole so far.
    pub const fn parsed(&self) -> u64 {
        self.parsed
    }

    /// Whether no command has begun that is not whole.
    pub const fn is_between_commands(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Takes the next bytes of the stream and hands every command that is whole with them to
    /// `each`.
    ///
    /// # Errors
    /// What came is no command; everything before it was handed over, and the parser must not be
    /// used any more.
    pub fn feed(
        &mut self,
        piece: &[u8],
        mut each: impl FnMut(StreamCommand<'_>),
    ) -> Result<(), StreamError> {
        self.buffer.extend_from_slice(piece);
        let mut start = 0;
        let result = loop {
            match self.step(start) {
                Ok(Step::Wait) => break Ok(()),
                Ok(Step::Part) => {}
                Ok(Step::Command) => {
                    each(self.command(start));
                    self.parsed += (self.at - start) as u64;
                    start = self.at;
                    self.arguments.clear();
                    self.left = None;
                }
                Err(error) => break Err(error),
            }
        };
        self.drop_before(start);
        result
    }

    /// Forgets the whole commands at the beginning of the buffer.
    fn drop_before(&mut self, start: usize) {
        self.buffer.drain(..start);
        self.at -= start;
        for argument in &mut self.arguments {
            argument.start -= start;
            argument.end -= start;
        }
    }

    /// The command from `start` on, whose arguments count from the buffer's beginning.
    fn command(&mut self, start: usize) -> StreamCommand<'_> {
        for argument in &mut self.arguments {
            argument.start -= start;
            argument.end -= start;
        }
        StreamCommand {
            bytes: self.buffer.get(start..self.at).unwrap_or_default(),
            arguments: &self.arguments,
        }
    }

    fn step(&mut self, start: usize) -> Result<Step, StreamError> {
        if let Some(length) = self.bulk {
            return self.take_argument(length);
        }
        let expected = if self.left.is_none() { b'*' } else { b'$' };
        let Some(length) = self.length_line(expected)? else {
            return Ok(Step::Wait);
        };
        if self.left.is_none() {
            if length == 0 || length > MAX_ARGUMENTS {
                return Err(self.no_command());
            }
            self.left = Some(length);
            return Ok(Step::Part);
        }
        let whole = (self.at - start).saturating_add(length).saturating_add(2);
        if whole > self.limit {
            return Err(StreamError::TooLong { at: self.parsed });
        }
        self.bulk = Some(length);
        Ok(Step::Part)
    }

    /// Takes the bytes of an argument, once they have all come.
    fn take_argument(&mut self, length: usize) -> Result<Step, StreamError> {
        let end = self.at.saturating_add(length);
        let Some(line_end) = self.buffer.get(end..end.saturating_add(2)) else {
            return Ok(Step::Wait);
        };
        if line_end != b"\r\n" {
            return Err(self.no_command());
        }
        self.arguments.push(self.at..end);
        self.at = end + 2;
        self.bulk = None;
        let left = self.left.unwrap_or_default().saturating_sub(1);
        self.left = Some(left);
        Ok(if left == 0 { Step::Command } else { Step::Part })
    }

    /// The number of a `*N` or `$N` line; `None` while the line is not whole.
    fn length_line(&mut self, expected: u8) -> Result<Option<usize>, StreamError> {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let Some((first, digits)) = rest.split_first() else {
            return Ok(None);
        };
        if *first != expected {
            return Err(self.no_command());
        }
        let mut number = 0_usize;
        for (index, byte) in digits.iter().take(MAX_LENGTH_LINE).enumerate() {
            match byte {
                b'0'..=b'9' => {
                    let digit = usize::from(byte - b'0');
                    number = number.saturating_mul(10).saturating_add(digit);
                }
                b'\r' if index > 0 => {
                    return match digits.get(index + 1) {
                        None => Ok(None),
                        Some(b'\n') => {
                            self.at += index + 3;
                            Ok(Some(number))
                        }
                        Some(_) => Err(self.no_command()),
                    };
                }
                _ => return Err(self.no_command()),
            }
        }
        if digits.len() < MAX_LENGTH_LINE {
            return Ok(None);
        }
        Err(self.no_command())
    }

    const fn no_command(&self) -> StreamError {
        StreamError::NoCommand { at: self.parsed }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::resp;
    use super::*;

    const LIMIT: usize = 64;

    /// The commands of `stream`, fed in pieces of `size`, their words joined, and the result.
    fn commands(stream: &[u8], size: usize) -> (Vec<String>, Result<(), StreamError>, u64) {
        let mut parser = CommandParser::new(LIMIT);
        let mut found = Vec::new();
        for piece in stream.chunks(size) {
            let fed = parser.feed(piece, |command| {
                let words = (0..command.len()).map(|i| command.argument(i).unwrap());
                let texts = words.map(|word| String::from_utf8_lossy(word).into_owned());
                found.push(texts.collect::<Vec<_>>().join(" "));
            });
            if fed.is_err() {
                return (found, fed, parser.parsed());
            }
        }
        (found, Ok(()), parser.parsed())
    }

    #[test]
    fn commands_are_found_however_the_stream_is_cut() {
        let stream = [resp(&["SELECT", "5"]), resp(&["SET", "k", "a\r\nb"])].concat();
        for size in 1..=stream.len() {
            let (found, fed, parsed) = commands(&stream, size);
            assert_eq!(fed, Ok(()), "{size}");
            assert_eq!(found, ["SELECT 5", "SET k a\r\nb"], "{size}");
            assert_eq!(parsed, stream.len() as u64);
        }
    }

    #[test]
    fn a_stream_that_ends_inside_a_command_is_not_between_commands() {
        let stream = resp(&["SET", "k", "v"]);
        for end in 1..stream.len() {
            let mut parser = CommandParser::new(LIMIT);
            let fed = parser.feed(&stream[..end], |_| panic!("no command is whole"));
            assert_eq!(fed, Ok(()));
            assert!(!parser.is_between_commands());
            assert_eq!(parser.parsed(), 0);
        }
    }

    #[test]
    fn what_is_no_command_is_refused_where_it_begins() {
        let good = resp(&["PING"]);
        for bad in [
            "PING\r\n",
            "+OK\r\n",
            "*0\r\n",
            "*-1\r\n",
            "*1\r\n+a\r\n",
            "*1\r\n$-1\r\n",
            "*1\r\n$1\r\nab\r\n",
            "*\r\n",
            "*1x",
            "*1\rx",
            "*99999999999999999999999999",
            "*1\r\n$99999999999999999999999999",
        ] {
            let stream = [good.as_slice(), bad.as_bytes()].concat();
            let expected = StreamError::NoCommand {
                at: good.len() as u64,
            };
            assert_eq!(
                commands(&stream, 3),
                (vec!["PING".to_owned()], Err(expected), 14),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_command_beyond_the_limit_is_refused_before_it_is_read() {
        for announced in ["*2\r\n$3\r\nSET\r\n$51\r\n", "*1\r\n$99999999999\r\n"] {
            let (_, fed, _) = commands(announced.as_bytes(), 5);
            assert_eq!(fed, Err(StreamError::TooLong { at: 0 }), "{announced:?}");
        }
        let fits = resp(&["SET", &"v".repeat(LIMIT - 4 - 9 - 7)]);
        assert_eq!(fits.len(), LIMIT);
        assert_eq!(commands(&fits, 7).1, Ok(()));
    }

    #[test]
    fn a_name_has_only_visible_characters() {
        let stream = resp(&["se\x1bt", "k"]);
        let mut names = Vec::new();
        let mut parser = CommandParser::new(LIMIT);
        parser
            .feed(&stream, |command| names.push(command.name()))
            .unwrap();
        assert_eq!(names, ["SE?T"]);
    }

    proptest! {
        #[test]
        fn how_a_stream_is_cut_changes_nothing(
            bytes in proptest::collection::vec(
                proptest::sample::select(b"*$123\r\nab".as_slice()), 0..80),
            size in 1_usize..9,
        ) {
            prop_assert_eq!(commands(&bytes, size), commands(&bytes, bytes.len().max(1)));
        }

        #[test]
        fn every_command_comes_back(
            words in proptest::collection::vec("[a-z\r\n*$0-9]{0,9}", 1..4),
            size in 1_usize..20,
        ) {
            let texts: Vec<&str> = words.iter().map(String::as_str).collect();
            let (found, fed, _) = commands(&resp(&texts), size);
            prop_assert_eq!(fed, Ok(()));
            prop_assert_eq!(found, [words.join(" ")]);
        }
    }
}
