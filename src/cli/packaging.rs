//! `completions` and `man`: what packages install beside the program, made from the command line's
//! own definition.

use std::io::Write;

use clap::Arg;
use clap::builder::StyledStr;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::args::CompletionsArgs;
use super::exit::Exit;
use super::help;
use super::output::complain;

/// The sections of the manual page that the command line's definition does not hold.
const MORE: [(&str, &[(&str, &str)]); 4] = [
    (
        "SIGNALS",
        &[
            (
                "SIGHUP",
                "Reloads the configuration. One that is refused changes nothing; the log says why.",
            ),
            (
                "SIGTERM, SIGINT",
                "Polling stops, notifications that are due are delivered, and the program ends.",
            ),
        ],
    ),
    (
        "EXIT STATUS",
        &[
            (
                "0",
                "All is well. Of check: every pair is. Of check-config --connect: every login has its rights.",
            ),
            (
                "1",
                "It failed. Of check: a warning. Of healthcheck: the exporter is not ready. Of doctor: nothing was \
                 found, but not everything was checked. Of failover and failback: everything is as before.",
            ),
            ("2", "Of check: critical."),
            (
                "3",
                "Of check: unknown, which includes a wrong command line, because 2 means critical to Nagios.",
            ),
            (
                "10",
                "Of doctor: warnings. Of lost-writes: there are some. Of failover and failback: the plan is safe, and \
                 nothing was done. Of active-active: the sites differ, or not every key is known to agree.",
            ),
            (
                "20",
                "Of doctor: something critical. Of lost-writes: they cannot be saved. Of failover and failback: refused.",
            ),
            (
                "30",
                "Of failover and failback: incomplete; the last line says who is master and what is open.",
            ),
            ("64", "The command line or the configuration is wrong."),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            (
                "${NAME} in the configuration",
                "Any variable that the configuration names.",
            ),
            (
                "HTTP_PROXY, HTTPS_PROXY, NO_PROXY",
                "The proxy on the way to the receivers of notifications.",
            ),
            (
                "SSL_CERT_FILE, SSL_CERT_DIR",
                "Certificate authorities to trust instead of the system's.",
            ),
            (
                "NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID",
                "Set by systemd for services of Type=notify.",
            ),
        ],
    ),
    (
        "SEE ALSO",
        &[(
            "config.example.yml",
            "Every section of the configuration, with comments.",
        )],
    ),
];

pub(super) fn completions(args: &CompletionsArgs) -> Exit {
    let mut script = Vec::new();
    let mut command = help::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    print(&script)
}

pub(super) fn man() -> Exit {
    match page() {
        Ok(page) => print(&page),
        // Writing into memory does not fail.
        Err(error) => {
            complain(&format!("The manual page cannot be made: {error}."));
            Exit::Failed
        }
    }
}

/// Output that was cut short would be installed as if it were whole, so unlike elsewhere a failed
/// write is an error.
fn print(bytes: &[u8]) -> Exit {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            complain(&format!("The output cannot be written: {error}."));
            Exit::Failed
        }
    }
}

/// One page with every command, because the commands are few.
fn page() -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = Man::new(help::command());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut roff = Roff::new();
    commands(&mut roff);
    for (heading, entries) in MORE {
        roff.control("SH", [heading]);
        for (term, text) in entries {
            entry(&mut roff, &[bold(*term)], text);
        }
    }
    roff.to_writer(&mut page)?;
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// Each visible command, and those below it, with the options that only it has.
fn commands(roff: &mut Roff) {
    roff.control("SH", ["COMMANDS"]);
    let cli = help::command();
    for command in cli.get_subcommands() {
        if command.is_hide_set() {
            continue;
        }
        section(roff, command.get_name(), command);
        for nested in command.get_subcommands() {
            let name = format!("{} {}", command.get_name(), nested.get_name());
            section(roff, &name, nested);
        }
    }
}

fn section(roff: &mut Roff, name: &str, command: &clap::Command) {
    roff.control("SS", [name]);
    roff.text([roman(text_of(command.get_about()))]);
    for argument in command.get_arguments() {
        if !argument.is_hide_set() {
            let term = [bold(flag_of(argument)), italic(value_of(argument))];
            entry(roff, &term, &text_of(argument.get_help()));
        }
    }
}

/// `--flag`; empty for an argument without a flag.
fn flag_of(argument: &Arg) -> String {
    match argument.get_long() {
        Some(long) => format!("--{long}"),
        None => String::new(),
    }
}

/// The names of an argument's values, after a space; empty where it takes none.
fn value_of(argument: &Arg) -> String {
    match argument.get_value_names() {
        Some(names) if argument.get_action().takes_values() => format!(" {}", names.join(" ")),
        _ => String::new(),
    }
}

fn text_of(help: Option<&StyledStr>) -> String {
    help.map(ToString::to_string).unwrap_or_default()
}

fn entry(roff: &mut Roff, term: &[clap_mangen::roff::Inline], text: &str) {
    roff.control("TP", []);
    roff.text(term.to_vec());
    roff.text([roman(text)]);
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::args::Cli;

    #[test]
    fn the_manual_page_has_every_visible_command_and_option() {
        let page = String::from_utf8(page().unwrap())
            .unwrap()
            .replace("\\-", "-");
        let cli = Cli::command();
        for command in cli.get_subcommands() {
            let heading = format!("\n.SS {}\n", command.get_name());
            assert_eq!(page.contains(&heading), !command.is_hide_set(), "{heading}");
            let nested = command.get_subcommands();
            let options = command
                .get_arguments()
                .chain(nested.flat_map(clap::Command::get_arguments))
                .chain(cli.get_arguments())
                .filter_map(clap::Arg::get_long);
            for option in options {
                assert!(
                    page.contains(&format!("--{option}")),
                    "--{option} is not in\n{page}"
                );
            }
        }
    }
}
