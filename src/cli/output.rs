//! What commands print: results on standard output, errors on standard error.

use std::io::{self, ErrorKind, Write};

use crate::report::visible_line;

/// Prints `text` and a line break to standard output.
pub(super) fn say(text: &str) {
    print(io::stdout(), &format!("{text}\n"));
}

/// Prints `text` to standard output. Its colours are dropped unless a terminal reads it.
pub(super) fn print_coloured(text: &str) {
    print(anstream::stdout(), text);
}

/// Prints to standard error, without what a terminal would obey.
pub(super) fn complain(text: &str) {
    let visible: Vec<_> = text.lines().map(visible_line).collect();
    // There is no other place for an error to be reported.
    let _ = writeln!(io::stderr(), "{}", visible.join("\n"));
}

/// A reader that went away (`| head`) has all that it wanted; every other failure is reported.
fn print(mut out: impl Write, text: &str) {
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        Err(error) => complain(&format!("The output cannot be written: {error}")),
    }
}
