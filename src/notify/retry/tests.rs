use DeliveryFailure as F;

use super::*;
use crate::model::WallTime;
use crate::notify::receivers::pagerduty::PagerDutyAnswers;
use crate::notify::receivers::slack_webhook::SlackWebhookAnswers;
use crate::smtp::SmtpStep;

const SLACK: &dyn AnswerRules = &SlackWebhookAnswers;
const PAGERDUTY: &dyn AnswerRules = &PagerDutyAnswers;
const WEBHOOK: &dyn AnswerRules = &HttpAnswers;

/// The attempt ends at second 1,000 of the machine, at 1994-11-06T08:49:37Z.
fn now() -> ClockAnchor {
    let wall = WallTime::from_nanos(784_111_777 * 1_000_000_000);
    ClockAnchor {
        mono: Timestamp::from_nanos(1_000_000_000_000),
        wall,
    }
}

fn at(secs: f64) -> Timestamp {
    now().mono + Span::from_secs_f64(secs)
}

fn first(rules: &'static dyn AnswerRules) -> Circumstances {
    Circumstances {
        rules,
        attempt: 1,
        plain: false,
        to_the_rest: false,
        jitter: 0.5,
        now: now(),
    }
}

fn answer(status: u16, body: &str) -> AttemptResult {
    AttemptResult::Answered(HttpResponse {
        status,
        body: body.to_owned(),
        complete: true,
        ..HttpResponse::default()
    })
}

fn judged(circumstances: &Circumstances, result: &AttemptResult) -> RetryVerdict {
    judge(&Timing::default(), circumstances, result)
}

/// The disposition as one word, with the seconds that a retry waits.
fn outcome(disposition: Disposition) -> (&'static str, f64, Option<DeliveryFailure>) {
    match disposition {
        Disposition::Delivered => ("delivered", 0.0, None),
        Disposition::Retry { at, reason } => {
            ("retry", (at - now().mono).as_secs_f64(), Some(reason))
        }
        Disposition::RetryPlain { reason } => ("plain", 0.0, Some(reason)),
        Disposition::Dead { reason } => ("dead", 0.0, Some(reason)),
    }
}

fn mail(deferred: &[&str]) -> AttemptResult {
    AttemptResult::MailAccepted(Accepted {
        refused_recipients: 1,
        deferred: deferred
            .iter()
            .map(|address| (*address).to_owned())
            .collect(),
    })
}

#[test]
fn a_mail_is_repeated_for_deferred_recipients_only() {
    let whole = judged(&first(WEBHOOK), &mail(&[]));
    assert_eq!(
        (whole.disposition, whole.left.len()),
        (Disposition::Delivered, 0)
    );
    let partly = judged(&first(WEBHOOK), &mail(&["a@b"]));
    assert_eq!(
        outcome(partly.disposition),
        ("retry", 0.5, Some(DeliveryFailure::Server))
    );
    assert!(partly.maybe_received, "its resolve has to be sent");
    assert_eq!(partly.left, ["a@b"]);
}

#[test]
fn recipients_that_are_refused_at_the_repetition_end_it_as_at_the_first_attempt() {
    let refused = |step, code| AttemptResult::MailFailed(SmtpError::Refused { step, code });
    let rest = Circumstances {
        to_the_rest: true,
        ..first(WEBHOOK)
    };
    for (circumstances, step, code, expected) in [
        (&rest, SmtpStep::Recipients, 550, "delivered"),
        (&rest, SmtpStep::Recipients, 450, "retry"),
        (&rest, SmtpStep::Content, 554, "dead"),
        (&first(WEBHOOK), SmtpStep::Recipients, 550, "dead"),
    ] {
        let verdict = judged(circumstances, &refused(step, code));
        assert_eq!(outcome(verdict.disposition).0, expected, "{step} {code}");
    }
}

fn check(
    rules: &'static dyn AnswerRules,
    status: u16,
    body: &str,
    word: &str,
    wait: f64,
    reason: Option<DeliveryFailure>,
) {
    let verdict = judged(&first(rules), &answer(status, body));
    assert_eq!(
        outcome(verdict.disposition),
        (word, wait, reason),
        "{rules:?} {status} {body}"
    );
}

#[test]
fn every_status_code_has_its_disposition() {
    for rules in [PAGERDUTY, WEBHOOK] {
        for status in [200, 202, 204, 299] {
            check(rules, status, "", "delivered", 0.0, None);
        }
    }
    for rules in [SLACK, PAGERDUTY, WEBHOOK] {
        for status in [301, 302, 303, 304, 307, 308] {
            check(rules, status, "", "dead", 0.0, Some(F::Redirect));
        }
        for status in [400, 404, 405, 413, 422, 451] {
            check(rules, status, "", "dead", 0.0, Some(F::Client));
        }
        for status in [500, 501, 502, 503, 504, 599] {
            check(rules, status, "", "retry", 0.5, Some(F::Server));
        }
        check(rules, 401, "", "dead", 0.0, Some(F::Auth));
        check(rules, 403, "invalid_token", "dead", 0.0, Some(F::Auth));
        check(rules, 408, "", "retry", 0.5, Some(F::Client));
        check(rules, 425, "", "retry", 0.5, Some(F::Client));
        check(rules, 429, "", "retry", 0.5, Some(F::RateLimited));
        check(rules, 410, "", "retry", 900.0, Some(F::Client));
    }
}

#[test]
fn slack_must_say_ok() {
    check(SLACK, 200, "ok", "delivered", 0.0, None);
    check(SLACK, 200, "ok\n", "delivered", 0.0, None);
    check(
        SLACK,
        200,
        "<html>please log in",
        "retry",
        0.5,
        Some(F::Server),
    );
    let third = Circumstances {
        attempt: 3,
        ..first(SLACK)
    };
    let verdict = judged(&third, &answer(200, "{\"success\":true}"));
    assert_eq!(verdict.disposition, Disposition::Dead { reason: F::Server });
    assert!(verdict.maybe_received);
}

#[test]
fn a_layout_that_slack_refuses_is_sent_as_plain_text_once() {
    for word in ["invalid_payload", "no_text", "invalid_blocks"] {
        check(SLACK, 400, word, "plain", 0.0, Some(F::Client));
        let plain = Circumstances {
            plain: true,
            ..first(SLACK)
        };
        assert_eq!(
            outcome(judged(&plain, &answer(400, word)).disposition),
            ("dead", 0.0, Some(F::Client))
        );
    }
    check(SLACK, 400, "user_not_found", "dead", 0.0, Some(F::Client));
    check(
        WEBHOOK,
        400,
        "invalid_payload",
        "dead",
        0.0,
        Some(F::Client),
    );
    check(
        SLACK,
        410,
        "channel_is_archived",
        "dead",
        0.0,
        Some(F::Client),
    );
}

#[test]
fn failures_of_the_network_retry() {
    let cases = [
        (HttpError::Timeout, F::Timeout, true),
        (HttpError::Broken, F::Connect, true),
        (HttpError::Connect("refused"), F::Connect, false),
        (HttpError::Tls("expired"), F::Connect, false),
        (HttpError::Invalid, F::Secret, false),
    ];
    for (error, reason, maybe_received) in cases {
        let verdict = judged(&first(WEBHOOK), &AttemptResult::Failed(error));
        assert_eq!(
            verdict.disposition,
            Disposition::Retry {
                at: at(0.5),
                reason
            }
        );
        assert_eq!(
            (verdict.maybe_received, verdict.hold_until),
            (maybe_received, None),
            "{error}"
        );
    }
    let verdict = judged(&first(WEBHOOK), &AttemptResult::SecretUnreadable);
    assert_eq!(
        verdict.disposition,
        Disposition::Retry {
            at: at(0.5),
            reason: F::Secret
        }
    );
}

#[test]
fn the_backoff_doubles_up_to_its_cap() {
    let waits = [
        (1, 1.0),
        (2, 2.0),
        (3, 4.0),
        (6, 32.0),
        (7, 60.0),
        (8, 60.0),
        (u32::MAX, 60.0),
    ];
    for (attempt, ceiling) in waits {
        for jitter in [0.0, 0.25, 0.75] {
            let circumstances = Circumstances {
                attempt,
                jitter,
                ..first(WEBHOOK)
            };
            let verdict = judged(&circumstances, &answer(500, ""));
            assert_eq!(
                verdict.disposition,
                Disposition::Retry {
                    at: at(ceiling * jitter),
                    reason: F::Server
                }
            );
        }
    }
    let late = Circumstances {
        attempt: 20,
        ..first(PAGERDUTY)
    };
    assert_eq!(
        outcome(judged(&late, &answer(429, "")).disposition),
        ("retry", 150.0, Some(F::RateLimited))
    );
    assert_eq!(
        outcome(judged(&late, &answer(500, "")).disposition),
        ("retry", 30.0, Some(F::Server))
    );
}

fn check_retry_after(status: u16, retry_after: &str, date: Option<&str>, wait: f64) {
    let response = HttpResponse {
        status,
        retry_after: Some(retry_after.to_owned()),
        date: date.map(str::to_owned),
        ..HttpResponse::default()
    };
    let verdict = judged(&first(SLACK), &AttemptResult::Answered(response));
    let Disposition::Retry { at, .. } = verdict.disposition else {
        panic!("{verdict:?}")
    };
    assert_eq!(at, self::at(wait), "{retry_after} {date:?}");
    let held = wait > 0.5 || status == 429;
    assert_eq!(verdict.hold_until.is_some(), held || retry_after == "0");
}

#[test]
fn retry_after_is_a_capped_minimum_for_the_whole_receiver() {
    for status in [429, 503] {
        check_retry_after(status, "7", None, 7.0);
        check_retry_after(status, " 7 ", None, 7.0);
        check_retry_after(status, "0", None, 0.5);
        check_retry_after(status, "600", None, 600.0);
        check_retry_after(status, "601", None, 600.0);
        check_retry_after(status, "99999999999999999999999", None, 600.0);
        check_retry_after(status, "Sun, 06 Nov 1994 08:50:37 GMT", None, 60.0);
        let behind = Some("Sun, 06 Nov 1994 08:50:07 GMT");
        check_retry_after(status, "Sun, 06 Nov 1994 08:50:37 GMT", behind, 30.0);
    }
    for nonsense in ["-1", "1.5", "", "soon"] {
        check_retry_after(429, nonsense, None, 0.5);
    }
}

#[test]
fn a_retry_after_date_in_the_past_means_no_wait() {
    let response = HttpResponse {
        retry_after: Some("Sun, 06 Nov 1994 08:00:00 GMT".to_owned()),
        ..HttpResponse::default()
    };
    assert_eq!(retry_after(&response, &now()), Some(Span::ZERO));
}

#[test]
fn gone_and_rate_limited_hold_the_whole_receiver() {
    assert_eq!(
        judged(&first(WEBHOOK), &answer(410, "")).hold_until,
        Some(at(900.0))
    );
    assert_eq!(
        judged(&first(PAGERDUTY), &answer(429, "")).hold_until,
        Some(at(0.5))
    );
    assert_eq!(judged(&first(WEBHOOK), &answer(500, "")).hold_until, None);
}

#[test]
fn slack_is_paced_after_a_delivery() {
    assert_eq!(
        judged(&first(SLACK), &answer(200, "ok")).hold_until,
        Some(at(1.0))
    );
    assert_eq!(judged(&first(WEBHOOK), &answer(200, "ok")).hold_until, None);
}
