//! HTTPS, passwords and reloading over HTTP, as somebody with curl sees them.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use redis_cross_dc_exporter::lab::{eventually, ports};

use crate::exporter::program;
use crate::planted::{self, Transcript};

const LIMIT: Duration = Duration::from_secs(30);

/// How curl logs in: `alice` with her password.
const LOGIN: &str = "alice:planted-secret-basic-auth";

/// The exporter, speaking HTTPS. It is killed when it is dropped.
struct Secured {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
    transcript: Transcript,
}

impl Drop for Secured {
    fn drop(&mut self) {
        // It may have ended by itself already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            self.transcript.assert_clean();
        }
    }
}

impl Secured {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = ports::free().unwrap();
        write_files(folder.path());
        let transcript = Transcript::new("secured");
        let log = fs::File::create(transcript.path("log")).unwrap();
        let child = Command::new(program())
            .envs(planted::ENVIRONMENT)
            .args([
                "--config.file",
                "config.yml",
                "--web.config.file",
                "web.yml",
            ])
            .args(["--web.listen-address", &format!("127.0.0.1:{port}")])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            child,
            folder,
            port,
            transcript,
        }
    }

    /// The status and body of what curl gets; status 0 and curl's reason where it gets no answer.
    fn curl(&self, scheme: &str, path: &str, args: &[&str]) -> (u16, String) {
        let url = format!("{scheme}://127.0.0.1:{}{path}", self.port);
        let all = [
            &[
                "-sS",
                "--noproxy",
                "*",
                "-m",
                "10",
                "-w",
                "\n%{http_code}",
                "--cacert",
                "ca.pem",
            ],
            args,
            &[&url],
        ];
        let output = run(Command::new("curl")
            .args(all.concat())
            .current_dir(self.folder.path()));
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (
            status.parse().unwrap(),
            format!("{body}{}", String::from_utf8_lossy(&output.stderr)),
        )
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.curl("https", path, &["-u", LOGIN])
    }

    fn reload(&self) -> (u16, String) {
        let args = [
            "-u",
            LOGIN,
            "-X",
            "POST",
            "-H",
            "content-type: application/json",
        ];
        self.curl("https", "/-/reload", &args)
    }

    /// Runs another command of the program against the exporter.
    fn ask(&self, command: &str, args: &[&str]) -> (i32, String) {
        let url = format!("https://127.0.0.1:{}", self.port);
        let mut program = Command::new(program());
        let output = run(program
            .args([command, "--exporter.url", &url])
            .args(args)
            .current_dir(self.folder.path()));
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code().unwrap(),
            String::from_utf8(said).unwrap(),
        )
    }

    async fn wait_until_ready(&self) {
        let probe = || async {
            let (status, body) = self.get("/-/ready");
            if status == 200 {
                Ok(())
            } else {
                Err(format!("{status} {body}"))
            }
        };
        eventually("the exporter to be ready", LIMIT, probe)
            .await
            .unwrap_or_else(|e| panic!("{e}\n{}", self.log()));
    }

    fn log(&self) -> String {
        fs::read_to_string(self.transcript.path("log")).unwrap()
    }

    async fn wait_for_metric(&self, value: u8) {
        let line = format!("redis_cross_dc_exporter_web_config_last_reload_successful {value}\n");
        let probe = || async { self.get("/metrics").1.contains(&line) };
        eventually(&line, LIMIT, probe).await.unwrap();
    }
}

/// Runs the program or curl, and searches its output.
fn run(command: &mut Command) -> Output {
    let run = command
        .envs(planted::ENVIRONMENT)
        .stdin(Stdio::null())
        .output();
    let output = run.unwrap_or_else(|error| {
        panic!(
            "{}: {error}; apt-get install curl",
            command.get_program().display()
        )
    });
    planted::said(
        "webconfig",
        &String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()),
    );
    output
}

/// The configurations, an authority, and what it has signed for 127.0.0.1.
fn write_files(folder: &Path) {
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    // OpenSSL takes a certificate whose issuer has its own name for one that signed itself.
    ca.distinguished_name
        .push(DnType::CommonName, "an authority of the tests");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let hash = bcrypt::hash(planted::BASIC_AUTH, 5).unwrap();
    for secret in [&key.serialize_pem(), &ca_key.serialize_pem(), LOGIN, &hash] {
        planted::remember(secret);
    }
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let cert = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    let web = format!(
        "tls_server_config: {{cert_file: server.crt, key_file: server.key}}\nbasic_auth_users: {{alice: {hash}}}\n"
    );
    let files = [
        ("ca.pem", ca_pem),
        ("server.crt", cert.pem()),
        ("server.key", key.serialize_pem()),
        ("web.yml", web),
        ("config.yml", configuration(&["orders"])),
        ("password", format!("{}\n", planted::BASIC_AUTH)),
    ];
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
}

/// Pairs of servers that refuse every connection, which is an answer, too.
fn configuration(names: &[&str]) -> String {
    let pair = |name: &&str| {
        let (master, replica) = (ports::free().unwrap(), ports::free().unwrap());
        let addr = |port| format!("{{address: '127.0.0.1:{port}', dc: dc1}}");
        format!(
            "  - {{name: {name}, master: {}, replicas: [{}]}}\n",
            addr(master),
            addr(replica)
        )
    };
    let password = planted::REDIS;
    format!(
        "redis: {{username: monitor, password: {password}}}\npairs:\n{}",
        names.iter().map(pair).collect::<String>()
    )
}

#[tokio::test]
async fn https_with_a_password_from_the_first_scrape_to_a_reload() {
    let exporter = Secured::start();
    exporter.wait_until_ready().await;
    let config = exporter.folder.path().join("config.yml");

    assert_eq!(exporter.curl("https", "/metrics", &[]).0, 401);
    assert_eq!(
        exporter.curl("https", "/metrics", &["-u", "alice:wrong"]).0,
        401
    );
    assert_eq!(
        exporter.curl("http", "/metrics", &[]),
        (400, "this port speaks HTTPS: use https://.\n".to_owned())
    );
    assert!(
        exporter
            .get("/metrics")
            .1
            .contains("redis_cross_dc_pair_info{pair=\"orders\"")
    );

    assert_eq!(
        exporter.curl("https", "/-/reload", &["-u", LOGIN]).0,
        405,
        "a GET changes nothing"
    );
    assert_eq!(
        exporter
            .curl("https", "/-/reload", &["-u", LOGIN, "-X", "POST"])
            .0,
        415
    );
    let before = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        before.clone()
            + configuration(&["sessions"])
                .split_once("pairs:\n")
                .unwrap()
                .1,
    )
    .unwrap();
    let (status, said) = exporter.reload();
    assert_eq!(status, 200, "{said}");
    assert!(
        said.starts_with("reloaded: pairs added 1, removed 0, kept 1; "),
        "{said}"
    );
    fs::write(&config, before.replace("name: orders", "nmae: orders")).unwrap();
    let (status, said) = exporter.reload();
    assert_eq!(status, 500, "{said}");
    assert!(
        said.contains("pairs[0].nmae: is not a known key (did you mean name?)"),
        "{said}"
    );
    let goes_on = || async {
        exporter
            .get("/metrics")
            .1
            .contains("redis_cross_dc_pair_info{pair=\"sessions\"")
    };
    eventually(
        "what the last sound configuration has is shown",
        LIMIT,
        goes_on,
    )
    .await
    .unwrap();

    exporter.wait_for_metric(1).await;
    let web = exporter.folder.path().join("web.yml");
    let sound = fs::read_to_string(&web).unwrap();
    fs::write(
        &web,
        format!("basic_auth_users: {{alice: {}}}", planted::BASIC_AUTH),
    )
    .unwrap();
    exporter.wait_for_metric(0).await;
    fs::write(&web, sound).unwrap();
    exporter.wait_for_metric(1).await;
    let log = exporter.log();
    assert_eq!(
        log.matches("the new web configuration is refused").count(),
        1,
        "{log}"
    );
}

#[tokio::test]
async fn healthcheck_and_check_use_the_given_credentials() {
    let exporter = Secured::start();
    exporter.wait_until_ready().await;
    let login = [
        "--exporter.username",
        "alice",
        "--exporter.password-file",
        "password",
    ];
    let trust = ["--exporter.ca-file", "ca.pem"];
    fs::write(exporter.folder.path().join("wrong"), "wrong").unwrap();
    let wrong = [
        "--exporter.username",
        "alice",
        "--exporter.password-file",
        "wrong",
    ];
    let cases: [(&[&[&str]], i32, &str); 5] = [
        (&[&login, &trust], 0, "ready"),
        (&[&login, &["--exporter.insecure-skip-verify"]], 0, "ready"),
        (
            &[&wrong, &trust],
            1,
            "unauthorized: give a user and a password",
        ),
        (&[&trust], 0, "ok"),
        (
            &[&login],
            1,
            "no TLS connection: the server's certificate is not",
        ),
    ];
    for (flags, code, sentence) in cases {
        let (exit, said) = exporter.ask("healthcheck", &flags.concat());
        assert!(
            exit == code && said.contains(sentence),
            "{flags:?}: {exit} {said}"
        );
    }
    let (_, said) = exporter.ask("check", &[login.as_slice(), &trust].concat());
    assert!(
        said.contains("asked the exporter at https://127.0.0.1:") && said.contains("orders"),
        "{said}"
    );
}

#[tokio::test]
async fn a_health_check_on_this_machine_needs_no_credentials() {
    let exporter = Secured::start();
    exporter.wait_until_ready().await;
    let address = format!("127.0.0.1:{}", exporter.port);
    let check = |more: &[&str]| {
        let mut program = Command::new(program());
        let output = run(program
            .args(["healthcheck", "--web.listen-address", &address])
            .args(more)
            .current_dir(exporter.folder.path()));
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        (output.status.code().unwrap(), said)
    };
    assert_eq!(check(&[]), (0, "ok\n".to_owned()), "HTTPS and a password");

    let web = exporter.folder.path().join("web.yml");
    let with_certificates = fs::read_to_string(&web).unwrap().replace(
        "key_file: server.key",
        "key_file: server.key, client_auth_type: RequireAndVerifyClientCert, client_ca_file: others.pem",
    );
    let others = CertificateParams::new(Vec::new()).unwrap();
    let others = others.self_signed(&KeyPair::generate().unwrap()).unwrap();
    fs::write(exporter.folder.path().join("others.pem"), others.pem()).unwrap();
    fs::write(&web, with_certificates).unwrap();
    let refused = || async { check(&[]).0 == 1 };
    eventually("certificates to be required", LIMIT, refused)
        .await
        .unwrap();
    let with_own = check(&["--web.config.file", "web.yml"]);
    assert_eq!(with_own, (0, "ok\n".to_owned()));
}

#[test]
fn a_broken_web_configuration_ends_the_program_with_the_key() {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path());
    fs::write(
        folder.path().join("web.yml"),
        "tls_server_config: {cert_file: server.crt, key_flie: x}",
    )
    .unwrap();
    for command in ["run", "check-config"] {
        let args = [
            command,
            "--config.file",
            "config.yml",
            "--web.config.file",
            "web.yml",
        ];
        let output = run(Command::new(program())
            .args(args)
            .current_dir(folder.path()));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(
            said.contains(
                "tls_server_config.key_flie: is not a known key (did you mean key_file?)"
            ),
            "{said}"
        );
    }
}
