//! Every check of the catalogue has a pair of servers on which doctor finds it and one on which it
//! does not. A check without both does not compile here, and a name that is no test fails.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use redis_cross_dc_exporter::model::DoctorCheck;

use super::faults::FAULTS;

/// Where a check is seen at work.
#[derive(Clone, Copy, Debug)]
enum Shown {
    /// A line of the table in faults.rs, whose test finds each of them alone and repairs it.
    Line,
    /// A test of one of the modules here, which names the check.
    Test(&'static str),
    /// The reference pair, on which nothing is found and everything is checked.
    Reference,
    /// The same with three Sentinels.
    SentinelReference,
}

/// The two tests of a check.
#[derive(Clone, Copy, Debug)]
struct Proof {
    finds: Shown,
    passes: Shown,
}

/// A line of redis.conf is enough.
const LINE: Proof = proof(Shown::Line, Shown::Reference);

const fn proof(finds: Shown, passes: Shown) -> Proof {
    Proof { finds, passes }
}

/// A test that finds it; the reference pair passes.
const fn found_in(test: &'static str) -> Proof {
    proof(Shown::Test(test), Shown::Reference)
}

/// The same with Sentinels.
const fn found_with_sentinels(test: &'static str) -> Proof {
    proof(Shown::Test(test), Shown::SentinelReference)
}

/// A test with both pairs.
const fn both_in(test: &'static str) -> Proof {
    proof(Shown::Test(test), Shown::Test(test))
}

/// One setting after another is changed on the Sentinels of the reference.
const SETTINGS: &str =
    "sentinels::a_pair_that_sentinels_found_is_audited_with_them_and_their_settings";
const COULD_NOT: &str = "sentinels::what_sentinels_could_not_do_is_found";
const SHUT_OUT: &str = "sentinels::sentinels_that_cannot_log_in_are_found_on_either_server";
const SMALL_BACKLOG: &str =
    "faults::a_backlog_that_is_too_small_for_the_writes_is_found_on_both_sides";

const fn proof_of(check: DoctorCheck) -> Proof {
    match check {
        DoctorCheck::A1
        | DoctorCheck::A2
        | DoctorCheck::A3
        | DoctorCheck::A11
        | DoctorCheck::B2
        | DoctorCheck::B4
        | DoctorCheck::B5
        | DoctorCheck::B6
        | DoctorCheck::C1
        | DoctorCheck::C2
        | DoctorCheck::C3
        | DoctorCheck::D5 => LINE,
        DoctorCheck::A4 => {
            found_in("promotion::a4_a_replica_whose_disk_failed_refuses_every_write")
        }
        DoctorCheck::A5 => found_in("promotion::a5_a_master_without_masterauth_never_comes_back"),
        DoctorCheck::A6 => {
            found_in("faults::users_that_only_the_master_has_are_named_without_their_hashes")
        }
        DoctorCheck::A7 => {
            found_in("promotion::a7_a_master_that_replicates_by_tls_cannot_follow_a_plain_replica")
        }
        DoctorCheck::A8 => found_with_sentinels(SHUT_OUT),
        DoctorCheck::A9 => both_in("promotion::a9_a_module_that_only_the_master_has"),
        DoctorCheck::A10 => found_in("promotion::a10_clients_that_move_are_refused"),
        DoctorCheck::A12 => {
            found_in("promotion::a12_without_a_file_a_restart_brings_the_old_role_back")
        }
        DoctorCheck::A13 => found_in("promotion::a13_a_renamed_command_is_skipped_by_the_replica"),
        DoctorCheck::A14 => both_in("promotion::a14_a_clock_that_is_ahead_ends_keys_too_early"),
        DoctorCheck::B1 => found_in(SMALL_BACKLOG),
        DoctorCheck::B3 => both_in("others::b3_a_buffer_that_a_full_sync_fills"),
        DoctorCheck::B7 => both_in(
            "versions::b7_is_found_exactly_where_a_line_would_keep_the_server_from_starting",
        ),
        DoctorCheck::B8 => found_in("others::b8_a_machine_that_is_too_small_for_a_fork"),
        DoctorCheck::C4 => both_in("others::c4_an_append_only_file_without_times"),
        DoctorCheck::C5 => found_in("promotion::c5_a_save_that_is_days_old"),
        DoctorCheck::D1 => {
            both_in("choices::d1_the_choice_of_a_fence_and_its_price_are_said_either_way")
        }
        DoctorCheck::D2 | DoctorCheck::E1 => found_with_sentinels(COULD_NOT),
        DoctorCheck::D3 => {
            found_with_sentinels("sentinels::a_replica_that_is_not_announced_is_found")
        }
        DoctorCheck::D4 => found_in("others::d4_a_replica_that_announces_another_address"),
        DoctorCheck::E2 | DoctorCheck::E3 | DoctorCheck::E5 => found_with_sentinels(SETTINGS),
        DoctorCheck::E4 => {
            both_in("sentinels::a_reader_of_the_stream_stays_in_the_sentinels_memory")
        }
        DoctorCheck::E6 => found_with_sentinels(
            "sentinels::scripts_and_names_that_differ_between_sentinels_are_found",
        ),
        DoctorCheck::E7 => found_with_sentinels(
            "sentinels::a_sentinel_that_names_the_master_by_another_name_is_found",
        ),
        DoctorCheck::E8 => both_in(
            "sentinels::a_user_of_sentinels_that_may_not_fail_over_is_found_from_valkey_9_on",
        ),
        DoctorCheck::F1 => both_in("choices::f1_a_recovery_that_was_practised_is_no_finding"),
        DoctorCheck::F2 => both_in("others::f2_the_operator_needs_its_rights_on_both_sides"),
        DoctorCheck::G1 | DoctorCheck::G2 | DoctorCheck::G3 => {
            both_in("sites::what_a_site_may_lose_is_found_and_nothing_on_sites_that_lose_nothing")
        }
        DoctorCheck::F3 => both_in("others::f3_partial_resyncs_that_are_refused_again_and_again"),
    }
}

/// The names of this program's tests that `arguments` choose.
fn tests(arguments: &[&str]) -> BTreeSet<String> {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program
        .args(["--list", "--format", "terse"])
        .args(arguments);
    let listed = program.output().unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
    names.map(str::to_owned).collect()
}

/// The text of the test `module::name` of this folder.
fn text_of(test: &str) -> String {
    let (module, name) = test.split_once("::").unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/doctor");
    let whole = std::fs::read_to_string(folder.join(format!("{module}.rs"))).unwrap();
    let begins = whole.find(&format!("async fn {name}(")).expect(test);
    let (_, rest) = whole.split_at(begins);
    let (body, _) = rest.split_once("\n}\n").expect(test);
    body.to_owned()
}

#[test]
fn every_check_has_a_test_that_finds_it_and_one_that_does_not() {
    let all = tests(&[]);
    let ignored = tests(&["--ignored"]);
    let is_run = |test: &str| {
        let name = format!("doctor::{test}");
        all.contains(&name) && !ignored.contains(&name)
    };
    for check in DoctorCheck::ALL {
        let proof = proof_of(check);
        for shown in [proof.finds, proof.passes] {
            match shown {
                Shown::Line => {
                    let is_there = FAULTS.iter().any(|fault| fault.check == check);
                    assert!(is_there, "{check} has no line in faults.rs");
                }
                Shown::Test(test) => {
                    assert!(is_run(test), "{check}: {test} is no test that runs");
                    let names_it = text_of(test).contains(&format!("DoctorCheck::{check}"));
                    assert!(names_it, "{test} is about something else than {check}");
                }
                Shown::Reference => {
                    assert!(is_run("clean::doctor_finds_nothing_on_a_reference_pair"));
                }
                Shown::SentinelReference => assert!(is_run(SETTINGS)),
            }
        }
    }
    let line = "faults::a_line_that_harms_is_found_alone_and_its_repair_works";
    assert!(is_run(line), "the table of faults.rs has no test");
}
