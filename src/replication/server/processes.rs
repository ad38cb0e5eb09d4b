//! Which processes answer at a server's address.
//!
//! Usually one does, and another one after a restart. An address that moves (a virtual IP, a DNS
//! name that follows the master) leads to another server from some poll on. A proxy or a load
//! balancer may hand every poll to another server: then what two answers show is the past of
//! nobody.

use std::collections::VecDeque;

use crate::model::{RunId, Span, Timestamp};

/// Processes that are remembered besides the one that answered last: more servers than a load
/// balancer usually has behind one address.
const REMEMBERED: usize = 8;

/// For how long after their last turns several servers count as taking turns.
const TURNS_COUNT_FOR: Span = Span::from_secs(300);

/// `uptime_in_seconds` is in whole seconds and the poll takes some time.
const UPTIME_GRAIN: Span = Span::from_secs(2);

/// The processes that have answered at one address.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Processes {
    /// The process that answered last, and since when it has answered.
    current: Option<(RunId, Timestamp)>,
    /// Those that answered before it, the most recent first.
    earlier: VecDeque<RunId>,
    /// When one of those answered again, the last two times, newest first.
    returns: [Option<Timestamp>; 2],
}

/// How the process that answers relates to the one that answered before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Succession {
    /// It is the same one, or nothing shows that it is not.
    Same,
    /// It began after the last answer, as far as is known: the server was restarted.
    Restarted,
    /// It ran already when the other one answered: another server.
    OtherServer,
}

/// What an answer shows of its process.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProcessAnswer<'a> {
    /// `run_id`.
    pub(super) run_id: Option<&'a RunId>,
    /// `uptime_in_seconds`.
    pub(super) uptime: Option<Span>,
    /// When the answer came.
    pub(super) received: Timestamp,
    /// When the answer before it came.
    pub(super) previous: Option<Timestamp>,
}

impl Processes {
    /// Records the process that gave an answer.
    pub(super) fn answered(&mut self, answer: ProcessAnswer<'_>) -> Succession {
        let Some(run_id) = answer.run_id else {
            self.current = None;
            return Succession::Same;
        };
        let since = answer.received;
        let before = match self.current.take() {
            Some((known, since)) if known == *run_id => {
                self.current = Some((known, since));
                return Succession::Same;
            }
            before => before,
        };
        self.current = Some((run_id.clone(), since));
        let Some((before, _)) = before else {
            return Succession::Same;
        };
        let has_returned = self.earlier.contains(run_id);
        if has_returned {
            let [newest, _] = self.returns;
            self.returns = [Some(since), newest];
        }
        self.remember(before, run_id);
        if has_returned || answer.ran_before() {
            Succession::OtherServer
        } else {
            Succession::Restarted
        }
    }

    fn remember(&mut self, before: RunId, now: &RunId) {
        self.earlier.retain(|known| known != now);
        self.earlier.push_front(before);
        self.earlier.truncate(REMEMBERED);
    }

    /// The process that answered last, and since when it has answered.
    pub(super) fn current(&self) -> Option<&(RunId, Timestamp)> {
        self.current.as_ref()
    }

    /// Whether several servers take turns in answering: a process never gets its `run_id` back once
    /// another one has taken its place. One return alone may be an address that was moved there and
    /// back, as in a drill.
    pub(super) fn take_turns(&self, now: Timestamp) -> bool {
        let [_, last_but_one] = self.returns;
        last_but_one.is_some_and(|at| now - at < TURNS_COUNT_FOR)
    }
}

impl ProcessAnswer<'_> {
    /// Whether the process ran already when the answer before this one came, by its uptime.
    fn ran_before(&self) -> bool {
        let (Some(uptime), Some(previous)) = (self.uptime, self.previous) else {
            return false;
        };
        self.received - uptime + UPTIME_GRAIN < previous
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    /// What each answer shows: when it came, whose it is, and that process's uptime.
    fn successions(answers: &[(i64, &str, Option<i64>)]) -> (Vec<Succession>, Processes) {
        let mut processes = Processes::default();
        let mut previous = None;
        let mut found = Vec::new();
        for (secs, name, uptime) in answers {
            let run_id = RunId::parse(name);
            found.push(processes.answered(ProcessAnswer {
                run_id: run_id.as_ref(),
                uptime: uptime.map(Span::from_secs),
                received: at(*secs),
                previous,
            }));
            previous = Some(at(*secs));
        }
        (found, processes)
    }

    #[test]
    fn a_restart_is_told_from_another_server_by_the_uptime() {
        use Succession::{OtherServer, Restarted, Same};
        let restart = [(0, "a", Some(90)), (1, "a", Some(91)), (9, "b", Some(3))];
        assert_eq!(successions(&restart).0, [Same, Same, Restarted]);
        let moved = [(0, "a", Some(90)), (9, "b", Some(700))];
        assert_eq!(successions(&moved).0, [Same, OtherServer]);
        let unnamed = [(0, "a", None), (9, "b", None), (10, "a", None)];
        assert_eq!(successions(&unnamed).0, [Same, Restarted, OtherServer]);
    }

    #[test]
    fn servers_take_turns_once_two_of_them_have_come_back() {
        let (_, processes) = successions(&[(0, "a", None), (1, "b", None), (2, "a", None)]);
        assert!(!processes.take_turns(at(2)), "there and back is one move");
        let turns = [
            (0, "a", None),
            (1, "b", None),
            (2, "a", None),
            (3, "b", None),
        ];
        let (_, processes) = successions(&turns);
        assert!(processes.take_turns(at(3)) && processes.take_turns(at(301)));
        assert!(!processes.take_turns(at(302)));
        assert_eq!(
            processes.current(),
            RunId::parse("b").map(|id| (id, at(3))).as_ref()
        );
    }

    #[test]
    fn many_servers_behind_one_address_are_noticed_and_bounded() {
        let names: Vec<String> = (0..20).map(|n| format!("p{}", n % 5)).collect();
        let answers: Vec<_> = (0..)
            .zip(&names)
            .map(|(n, name)| (n, name.as_str(), None))
            .collect();
        let (_, processes) = successions(&answers);
        assert!(processes.take_turns(at(20)));
        assert_eq!(processes.earlier.len(), 4, "each of the others once");
        let names: Vec<String> = (0..50).map(|n| format!("p{n}")).collect();
        let answers: Vec<_> = (0..)
            .zip(&names)
            .map(|(n, name)| (n, name.as_str(), None))
            .collect();
        let (_, processes) = successions(&answers);
        assert!(
            !processes.take_turns(at(50)),
            "restarts, as far as is known"
        );
        assert_eq!(processes.earlier.len(), REMEMBERED);
    }

    #[test]
    fn a_server_that_names_no_process_shows_nothing() {
        let mut processes = Processes::default();
        let answer = ProcessAnswer {
            run_id: None,
            uptime: Some(Span::from_secs(9)),
            received: at(1),
            previous: None,
        };
        assert_eq!(processes.answered(answer), Succession::Same);
        assert_eq!(processes, Processes::default());
    }
}
