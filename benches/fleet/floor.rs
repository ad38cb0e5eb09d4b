//! The floor: a client that asks what the exporter asks, at the same rate, over as many
//! connections, and reads each answer to its end. It looks at nothing in it, so it costs what the
//! wire costs.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::fleet::{Fleet, Member, Side};
use crate::guard::Guard;

/// The hidden argument with which this program is the floor client.
pub(crate) const ARGUMENT: &str = "--floor-client";

/// What a floor client says when all its connections are made.
const CONNECTED: &str = "connected";

/// What the exporter asks for in each poll.
const REQUEST: &[u8] = b"*6\r\n$4\r\nINFO\r\n$6\r\nserver\r\n$11\r\nreplication\r\n$5\r\nstats\r\n\
    $11\r\npersistence\r\n$8\r\nkeyspace\r\n";

/// A running floor client, a child of this process. When it is dropped it is killed.
pub(crate) struct Floor {
    /// Ends the child when this process dies; `None` while there is no child.
    guard: Option<Guard>,
    child: Child,
}

impl Floor {
    /// Starts one that polls every server of `fleet` in turn, `rate` polls a second over all.
    pub(crate) fn start(fleet: &Fleet, pairs: usize, rate: f64) -> Self {
        let own = std::env::current_exe().expect("the path of this program");
        let mut child = Command::new(own)
            .args([ARGUMENT, &rate.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the floor client starts");
        let guard = Some(Guard::of_child(&child));
        let mut addresses = String::new();
        for pair in 0..pairs {
            for side in [Side::Master, Side::Replica] {
                let address = fleet.address(Member { pair, side });
                addresses += &format!("{address}\n");
            }
        }
        let mut stdin = child.stdin.take().expect("its standard input");
        stdin.write_all(addresses.as_bytes()).expect("it reads");
        // The end of the list.
        drop(stdin);
        let stdout = child.stdout.take().expect("its standard output");
        let mut said = String::new();
        BufReader::new(stdout)
            .read_line(&mut said)
            .expect("its output");
        assert_eq!(said.trim(), CONNECTED, "the floor client has failed");
        Self { guard, child }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.guard = None;
        // It may have ended by itself already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection, with one request under way at most.
struct Connection {
    stream: TcpStream,
    reply: Reply,
}

/// How far the answer has been read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reply {
    None,
    Awaited,
    /// So many bytes are missing.
    Missing(usize),
}

/// The child: reads addresses from standard input, connects to all, and polls until it is killed.
pub(crate) fn run(rate: f64) -> io::Result<()> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for line in io::stdin().lines() {
        addresses.push(line?.parse().map_err(io::Error::other)?);
    }
    let mut poll = Poll::new()?;
    let mut connections = connect(&poll, &addresses)?;
    println!("{CONNECTED}");
    let step = Duration::from_secs_f64(1.0 / rate);
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 64 * 1024];
    let mut turns = (0..connections.len()).cycle();
    let mut due = Instant::now();
    loop {
        let now = Instant::now();
        while due <= now {
            if let Some(connection) = turns.next().and_then(|turn| connections.get_mut(turn)) {
                connection.ask()?;
            }
            due += step;
        }
        poll.poll(
            &mut events,
            Some(due.saturating_duration_since(Instant::now())),
        )?;
        for event in &events {
            if let Some(connection) = connections.get_mut(event.token().0) {
                connection.read(&mut buffer)?;
            }
        }
    }
}

fn connect(poll: &Poll, addresses: &[SocketAddr]) -> io::Result<Vec<Connection>> {
    let mut connections = Vec::with_capacity(addresses.len());
    for (index, address) in addresses.iter().enumerate() {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry()
            .register(&mut stream, Token(index), Interest::READABLE)?;
        connections.push(Connection {
            stream,
            reply: Reply::None,
        });
    }
    Ok(connections)
}

impl Connection {
    /// Sends a request, unless the one before is unanswered: a poll is left out, never queued.
    fn ask(&mut self) -> io::Result<()> {
        if self.reply == Reply::None {
            // A short request into an empty socket is written at once.
            self.stream.write_all(REQUEST)?;
            self.reply = Reply::Awaited;
        }
        Ok(())
    }

    /// Reads what there is of the answer.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        while self.reply != Reply::None {
            let length = match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let missing = match self.reply {
                Reply::Missing(missing) => missing,
                Reply::None | Reply::Awaited => whole_length(&buffer[..length])?,
            };
            self.reply = match missing.saturating_sub(length) {
                0 => Reply::None,
                missing => Reply::Missing(missing),
            };
        }
        Ok(())
    }
}

/// The length of the bulk string that begins here, with its frame.
fn whole_length(start: &[u8]) -> io::Result<usize> {
    let not_bulk = || io::Error::other("not a bulk string");
    let end = start.windows(2).position(|two| two == b"\r\n");
    let header = start.get(1..end.ok_or_else(not_bulk)?);
    let digits = std::str::from_utf8(header.ok_or_else(not_bulk)?).map_err(io::Error::other)?;
    let length: usize = digits.parse().map_err(io::Error::other)?;
    Ok(digits.len() + "$\r\n".len() + length + "\r\n".len())
}
