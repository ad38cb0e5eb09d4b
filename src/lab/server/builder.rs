//! What to start: the program, its configuration file, its port.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{Process, StartError};
use super::spec::Spec;
use super::{LabError, RedisServer};
use crate::lab::ports;
use crate::model::{Secret, ServerAddr};

/// Where a server listens by default.
const LOCALHOST: &str = "127.0.0.1";
/// Makes a server a Sentinel.
const SENTINEL: &str = "--sentinel";
/// How often another port is tried when one that was free a moment ago is taken.
const PORT_ATTEMPTS: usize = 5;

/// Describes a server to start. The plain one is an empty master without persistence or password.
#[derive(Clone, Debug)]
pub struct RedisServerBuilder {
    program: PathBuf,
    host: &'static str,
    port: Option<u16>,
    password: Option<Secret>,
    /// Lines of redis.conf. Any of them may hold a password.
    lines: Vec<Secret>,
    args: Vec<String>,
    tls: Option<ServerTls>,
}

/// The files of a server that speaks TLS, all PEM.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// The authorities that it trusts: for its own clients and, with `tls-replication`, its master.
    pub ca_file: PathBuf,
    /// Its certificate.
    pub cert_file: PathBuf,
    /// The certificate's key.
    pub key_file: PathBuf,
}

/// The environment variable that names the program of every server whose builder names none. It
/// makes everything that uses the lab run on another generation of Redis or on Valkey.
const PROGRAM_VARIABLE: &str = "REDIS_SERVER";

impl Default for RedisServerBuilder {
    fn default() -> Self {
        let program = std::env::var_os(PROGRAM_VARIABLE);
        Self {
            program: program.unwrap_or_else(|| "redis-server".into()).into(),
            host: LOCALHOST,
            port: None,
            password: None,
            lines: Vec::new(),
            args: Vec::new(),
            tls: None,
        }
    }
}

impl RedisServerBuilder {
    /// The program to run instead of the one that the environment variable `REDIS_SERVER` names, or
    /// of the `redis-server` in PATH where there is no such variable.
    #[must_use]
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = path.into();
        self
    }

    /// Another address of the loopback network than 127.0.0.1: Linux answers on all of 127.0.0.0/8,
    /// so that servers can be in different networks of one machine.
    #[must_use]
    pub fn host(mut self, address: &'static str) -> Self {
        self.host = address;
        self
    }

    /// Starts a Sentinel. Its configuration, in the server's own directory, is its memory: it
    /// survives a [`restart`](RedisServer::restart).
    #[must_use]
    pub fn sentinel(self) -> Self {
        self.arg(SENTINEL)
    }

    /// The Sentinel watches `master`, which it calls `name`, and fails over after one second.
    #[must_use]
    pub fn watches(self, name: &str, master: &ServerAddr, quorum: u32) -> Self {
        let (host, port) = master.tcp().unwrap_or_default();
        self.config(&format!("sentinel monitor {name} {host} {port} {quorum}"))
            .config(&format!("sentinel down-after-milliseconds {name} 1000"))
            .config(&format!("sentinel failover-timeout {name} 6000"))
    }

    /// The port to listen on instead of a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// The default user's password (`requirepass`), which the server also shows its own master
    /// (`masterauth`).
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(Secret::new(password));
        self
    }

    /// An ACL user, in the words of `ACL SETUSER`: `monitor on >secret -@all +info +ping`.
    #[must_use]
    pub fn user(self, rules: &str) -> Self {
        self.config(&format!("user {rules}"))
    }

    /// Starts as a replica of `master`.
    #[must_use]
    pub fn replicaof(self, master: &ServerAddr) -> Self {
        match master.tcp() {
            Some((host, port)) => self.config(&format!("replicaof {host} {port}")),
            // Redis replicates over TCP only; it says so when it starts.
            None => self.config(&format!("replicaof {master}")),
        }
    }

    /// Allows `DEBUG` from loopback, which Redis 7.0 and later forbid by default.
    #[must_use]
    pub fn allow_debug(self) -> Self {
        // Redis 6 allows it anyway, and does not start with a line that it does not know.
        if is_redis_6(&self.program) {
            self
        } else {
            self.config("enable-debug-command local")
        }
    }

    /// A second port that speaks TLS ([`RedisServer::tls_addr`]), on the same address. Clients need
    /// no certificate unless a line `tls-auth-clients yes` follows. Needs a
    /// redis-server that was built with TLS, as Debian's is.
    #[must_use]
    pub fn tls(mut self, files: ServerTls) -> Self {
        self.tls = Some(files);
        self
    }

    /// One line of redis.conf: `client-output-buffer-limit replica 1mb 1mb 0`. The last of two
    /// equal settings wins.
    #[must_use]
    pub fn config(mut self, line: &str) -> Self {
        self.lines.push(Secret::new(line));
        self
    }

    /// An argument behind the configuration file's name, such as `--sentinel`.
    #[must_use]
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// Starts the server and waits until it answers. Without a given port, a port that another
    /// process takes first is replaced.
    ///
    /// # Errors
    /// [`LabError::MissingProgram`]; [`LabError::ServerStart`], with the end of the server's log.
    pub async fn start(self) -> Result<RedisServer, LabError> {
        let attempts = if self.port.is_some() {
            1
        } else {
            PORT_ATTEMPTS
        };
        for _ in 1..attempts {
            match self.clone().start_once().await {
                Err(StartError::PortTaken(_)) => {}
                result => return Ok(result?),
            }
        }
        Ok(self.start_once().await?)
    }

    async fn start_once(self) -> Result<RedisServer, StartError> {
        let spec = self.prepare()?;
        let process = Process::start(&spec).await?;
        Ok(RedisServer {
            process: Some(process),
            spec,
        })
    }

    /// Picks the ports and writes the configuration file into a new directory.
    fn prepare(self) -> Result<Spec, LabError> {
        let port = match self.port {
            Some(port) => port,
            None => ports::free()?,
        };
        let tls_port = match self.tls {
            Some(_) => Some(ports::free()?),
            None => None,
        };
        let directory = tempfile::Builder::new().prefix("redis-lab-").tempdir();
        let directory = directory.map_err(LabError::io("make a temporary directory"))?;
        let conf = directory.path().join("redis.conf");
        let text = self.configuration(port, tls_port, directory.path());
        std::fs::write(&conf, text).map_err(LabError::io(format!("write {}", conf.display())))?;
        Ok(Spec {
            program: self.program,
            args: self.args,
            port,
            addr: ServerAddr::new(self.host, port),
            tls_addr: tls_port.map(|port| ServerAddr::new(self.host, port)),
            password: self.password,
            directory,
        })
    }

    /// The configuration file. The caller's lines come last and win.
    fn configuration(&self, port: u16, tls_port: Option<u16>, directory: &Path) -> String {
        let mut lines = vec![
            format!("bind {}", self.host),
            format!("port {port}"),
            format!("dir {}", quoted(&directory.to_string_lossy())),
        ];
        if self.host != LOCALHOST {
            // Its own connections come from 127.0.0.1 all the same, so it has to announce its
            // address.
            let key = if self.args.iter().any(|arg| arg == SENTINEL) {
                "sentinel announce-ip"
            } else {
                "replica-announce-ip"
            };
            lines.push(format!("{key} {}", self.host));
        }
        // Nothing may be left on disk, and a forked save would disturb what is measured.
        lines.push("save \"\"".to_owned());
        lines.push("appendonly no".to_owned());
        // The default waits 5 s for more replicas to sync at once; the lab's come one by one.
        lines.push("repl-diskless-sync-delay 0".to_owned());
        if let Some(password) = &self.password {
            let password = quoted(password.reveal());
            lines.push(format!("requirepass {password}"));
            lines.push(format!("masterauth {password}"));
        }
        if let (Some(port), Some(tls)) = (tls_port, &self.tls) {
            lines.push(format!("tls-port {port}"));
            lines.extend(tls.configuration());
        }
        for line in &self.lines {
            lines.push(line.reveal().to_owned());
        }
        lines.join("\n") + "\n"
    }
}

impl ServerTls {
    fn configuration(&self) -> [String; 4] {
        let path = |path: &Path| quoted(&path.to_string_lossy());
        [
            format!("tls-ca-cert-file {}", path(&self.ca_file)),
            format!("tls-cert-file {}", path(&self.cert_file)),
            format!("tls-key-file {}", path(&self.key_file)),
            "tls-auth-clients no".to_owned(),
        ]
    }
}

/// Whether `program` reports that it is Redis 6; false for one that cannot be run, whose start will
/// fail with the reason.
fn is_redis_6(program: &Path) -> bool {
    let run = Command::new(program).arg("--version").output();
    run.is_ok_and(|run| String::from_utf8_lossy(&run.stdout).starts_with("Redis server v=6."))
}

/// A value in redis.conf's double quotes, where only the backslash and the quote are special.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_lines_come_last_so_that_they_win() {
        let builder = RedisServer::builder()
            .password(r#"a"b\c"#)
            .config("repl-diskless-sync-delay 7");
        let text = builder.configuration(10_001, None, Path::new("/tmp/x y"));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.last(), Some(&"repl-diskless-sync-delay 7"));
        assert!(lines.contains(&r#"requirepass "a\"b\\c""#), "{text}");
        assert!(lines.contains(&r#"dir "/tmp/x y""#), "{text}");
    }

    #[test]
    fn debug_shows_no_password() {
        let shown = format!(
            "{:?}",
            RedisServer::builder()
                .password("hunter2")
                .user("monitor on >hunter2")
        );
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
