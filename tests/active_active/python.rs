//! The tutorial's client, which runs in Python and does one step at a time.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// A process that runs the client; ends with this value.
pub(crate) struct TutorialClient {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Drop for TutorialClient {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The answer to a command.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer(pub(crate) Value);

impl Answer {
    pub(crate) fn has_ended(&self) -> bool {
        self.0["ended"] == true
    }

    pub(crate) fn result(&self) -> &Value {
        assert!(
            self.has_ended() && self.0.get("error").is_none(),
            "{self:?}"
        );
        &self.0["result"]
    }

    pub(crate) fn error(&self) -> &str {
        self.0["error"]
            .as_str()
            .unwrap_or_else(|| panic!("no error: {self:?}"))
    }
}

impl TutorialClient {
    pub(crate) fn start(dc: &str, local: u16, remote: u16) -> Self {
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/active_active/tutorial.py"
        );
        let mut process = Command::new("python3")
            .arg(script)
            .args([dc, &local.to_string(), &remote.to_string(), "0.3"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is missing: apt-get install python3");
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self {
            process,
            input,
            output,
        }
    }

    fn say(&mut self, command: &Value) -> Answer {
        writeln!(self.input, "{command}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        Answer(serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}")))
    }

    /// Calls a method of an object, to its end.
    pub(crate) fn run(&mut self, on: &str, method: &str, arguments: &Value) -> Answer {
        self.say(&json!({"do": "run", "on": on, "method": method, "arguments": arguments}))
    }

    /// The same, but for so many steps at most.
    pub(crate) fn run_for(&mut self, steps: u32, on: &str, method: &str) -> Answer {
        self.say(&json!({
            "do": "run", "on": on, "method": method, "arguments": [], "steps": steps,
        }))
    }

    /// Begins a call: it does its first request.
    pub(crate) fn start_call(&mut self, on: &str, method: &str, arguments: &Value) -> Answer {
        self.say(&json!({"do": "start", "on": on, "method": method, "arguments": arguments}))
    }

    /// Lets the call do its next request.
    pub(crate) fn step(&mut self) -> Answer {
        self.say(&json!({"do": "step"}))
    }

    /// Ends the process without notice.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
