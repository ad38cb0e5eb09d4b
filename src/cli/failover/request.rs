//! The arguments of an operation, checked.

use crate::app::operation::OperationRequest;
use crate::cli::args::{ActionArgs, FailbackArgs, FailoverArgs};
use crate::config::parse_duration;
use crate::model::{Bytes, DoctorCheck, PairName, ServerAddr, Span};
use crate::operation::{Discard, Limits, Overrides, Token, Wanted};

/// The longest limit that can be asked for.
const LONGEST: Span = Span::from_secs(24 * 3600);

/// The longest pause of writes that can be asked for.
const LONGEST_PAUSE: Span = Span::from_secs(300);

/// The longest description of how a master was fenced, in characters.
const MAX_TEXT: usize = 400;

/// What `failover` asks for.
///
/// # Errors
/// A sentence for the user.
pub(super) fn of_failover(args: &FailoverArgs) -> Result<OperationRequest, String> {
    let pair = args.pair.as_deref().unwrap_or_default();
    let mut request = common(pair, &args.action)?;
    request.wanted = wanted(args)?;
    if let Some(text) = &args.to {
        let addr = ServerAddr::parse(text);
        request.to = Some(addr.map_err(|error| format!("--to: {text:?} is no address: {error}"))?);
    }
    request.max_loss = duration("--max-loss", &args.max_loss, LONGEST)?;
    request.max_loss_bytes = Bytes::new(args.max_loss_bytes);
    let overrides = &mut request.overrides;
    overrides.unknown_loss = args.accept_unknown_loss;
    overrides.single_view = args.accept_single_view;
    overrides.behind = args.accept_behind;
    overrides.again = args.again;
    if let Some(text) = &args.old_master_is_fenced {
        let length = text.chars().count();
        if length == 0 || length > MAX_TEXT {
            return Err(format!(
                "--old-master-is-fenced: say how, in 1 to {MAX_TEXT} characters"
            ));
        }
        overrides.old_master_fenced = Some(text.clone());
    }
    Ok(request)
}

/// Which failover it is.
fn wanted(args: &FailoverArgs) -> Result<Wanted, String> {
    if args.disaster {
        return Ok(Wanted::Disaster);
    }
    if args.hand_over {
        return Ok(Wanted::HandOver);
    }
    let Some(text) = &args.token else {
        return Ok(Wanted::SwitchOver);
    };
    let token = Token::parse(text).ok_or_else(|| {
        format!(
            "--token: {text:?} is not what --hand-over printed: 40 hexadecimal characters, a colon and a number"
        )
    })?;
    Ok(Wanted::TakeOver(token))
}

/// What `failback` asks for.
///
/// # Errors
/// A sentence for the user.
pub(super) fn of_failback(args: &FailbackArgs) -> Result<OperationRequest, String> {
    let mut request = common(&args.pair, &args.action)?;
    request.saved_in.clone_from(&args.saved);
    request.overrides.discard = match args.discard.as_deref() {
        None => None,
        Some("unknown") => Some(Discard::Unknown),
        Some(text) => {
            let bytes = text.parse().map_err(|_| {
                format!("--discard: {text:?} is not the number of bytes that the plan prints")
            })?;
            Some(Discard::Bytes(bytes))
        }
    };
    Ok(request)
}

fn common(pair: &str, action: &ActionArgs) -> Result<OperationRequest, String> {
    let limits = Limits {
        max_pause: duration("--max-pause", &action.max_pause, LONGEST_PAUSE)?,
        drain: duration("--drain", &action.drain, LONGEST)?,
        verify: duration("--verify", &action.verify, LONGEST_PAUSE)?,
        open_at_once: action.open_at_once,
        ..Limits::default()
    };
    let mut traps = Vec::new();
    for text in &action.accept {
        let check = DoctorCheck::parse(text);
        traps.push(check.ok_or_else(|| format!("--accept: {text:?} is not a check of doctor"))?);
    }
    Ok(OperationRequest {
        pair: PairName::new(pair),
        to: None,
        wanted: Wanted::SwitchOver,
        limits,
        max_loss: Span::from_secs(30),
        max_loss_bytes: Bytes::new(30_000_000),
        overrides: Overrides {
            version: action.accept_version,
            unfenced: action.unfenced,
            sentinels_stopped: action.sentinels_are_stopped,
            traps,
            ..Overrides::default()
        },
        plan: action.plan.clone(),
        exporters: Vec::new(),
        saved_in: Vec::new(),
    })
}

fn duration(flag: &str, text: &str, longest: Span) -> Result<Span, String> {
    let span = parse_duration(text).map_err(|error| format!("{flag}: {text:?} {error}"))?;
    if span < Span::ZERO || span > longest {
        return Err(format!(
            "{flag}: {text:?} is out of range; allowed: up to {longest}"
        ));
    }
    Ok(span)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn request(how: &str) -> Result<OperationRequest, String> {
        let words = [
            "x",
            "failover",
            "--pair",
            "p",
            "--disaster",
            "--old-master-is-fenced",
            how,
        ];
        let Some(Command::Failover(args)) = Cli::try_parse_from(words).unwrap().command else {
            panic!("it is a failover");
        };
        of_failover(&args)
    }

    #[test]
    fn how_a_master_was_fenced_is_said_in_some_characters() {
        assert!(request("powered off by PDU 7").is_ok());
        for how in [String::new(), "x".repeat(MAX_TEXT + 1)] {
            let refusal = request(&how).unwrap_err();
            assert!(refusal.contains("1 to 400 characters"), "{refusal}");
        }
    }
}
