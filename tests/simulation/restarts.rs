//! Restarts of the monitor at any moment, with what was kept of it: what is certified holds, and
//! what was known stays known.
//!
//! The state goes through the real rows of a database in memory. A restart is a kill (what came
//! since the last commit is lost) or an orderly end; the machine stays the same, or is another one
//! whose wall clock is off.

use fastrand::Rng;
use redis_cross_dc_exporter::model::{BootId, ClockAnchor, Span, Timestamp, WallTime};
use redis_cross_dc_exporter::replication::PairState;
use redis_cross_dc_exporter::store::{BootClock, Database, SavePlanner};

use crate::driver::{Conditions, Driver};
use crate::loads::Load;
use crate::oracle;
use crate::random;
use crate::seeds::for_seeds;
use crate::world::{Nanos, Outage, OutageKind, SEC, World};

/// The machine that the monitor runs on, and its disk.
struct Machine {
    boot: u128,
    /// How far its wall clock is off.
    wall_error: Nanos,
    database: Database,
    planner: SavePlanner,
}

impl Machine {
    fn new(driver: &Driver) -> Self {
        let (database, loaded) = Database::in_memory(present(driver, 1, 0)).expect("memory");
        Self {
            boot: 1,
            wall_error: 0,
            database,
            planner: loaded.planner,
        }
    }

    fn present(&self, driver: &Driver) -> BootClock {
        present(driver, self.boot, self.wall_error)
    }

    fn save(&mut self, driver: &Driver) {
        let (batch, pending) = self
            .planner
            .plan(driver.monitor.to_save(), self.present(driver).anchor);
        self.database
            .commit(&batch.into())
            .expect("memory takes everything");
        self.planner.commit(pending);
    }

    /// The monitor starts over with what was kept, here or elsewhere.
    fn restart(&mut self, driver: &mut Driver, elsewhere: Option<(Nanos, Nanos)>) {
        if let Some((origin, wall_error)) = elsewhere {
            driver.move_to(origin);
            (self.boot, self.wall_error) = (self.boot + 1, wall_error);
        }
        let loaded = self.database.load(self.present(driver)).expect("memory");
        assert_eq!(loaded.refused.count, 0, "{:?}", loaded.refused);
        self.planner = loaded.planner;
        driver.restart_monitor();
        let now = self.present(driver);
        let load = || self.database.load(now).expect("memory").state;
        driver.monitor = driver.new_monitor().with_restored(load);
    }
}

fn present(driver: &Driver, boot: u128, wall_error: Nanos) -> BootClock {
    let wall = WallTime::from_nanos(1_700_000_000 * SEC + driver.now() + wall_error);
    BootClock {
        boot: Some(BootId::from_bits(boot)),
        anchor: ClockAnchor {
            mono: driver.stamp(driver.now()),
            wall,
        },
    }
}

/// Runs until `until`, saving every ten seconds.
fn run(driver: &mut Driver, machine: &mut Machine, until: Nanos) {
    while driver.now() < until {
        let next = (driver.now() + 10 * SEC).min(until);
        driver.run(next, oracle::check);
        if driver.now() < until {
            machine.save(driver);
        }
    }
}

#[test]
fn certified_bounds_hold_over_restarts() {
    for_seeds("certified_bounds_hold_over_restarts", 60, |seed| {
        let mut rng = Rng::with_seed(seed);
        let world = random::world(&mut rng);
        let conditions = random::conditions(&mut rng);
        let mut driver = Driver::new(world, conditions, seed);
        let mut machine = Machine::new(&driver);
        let mut at = 0;
        while at < random::DURATION {
            at = (at + rng.i64(SEC..40 * SEC)).min(random::DURATION);
            run(&mut driver, &mut machine, at);
            if rng.bool() {
                machine.save(&driver);
            }
            // Between the two nothing is seen, and what is on its way is lost.
            driver.sleep(rng.i64(0..15 * SEC));
            let elsewhere = rng
                .bool()
                .then(|| (rng.i64(0..1_000_000 * SEC), rng.i64(-SEC / 2..SEC / 2)));
            machine.restart(&mut driver, elsewhere);
        }
        // Restarts and outages may leave little of a run; that it sees much is checked where it
        // runs all the time.
        assert!(driver.answers > 10, "the monitor saw hardly anything");
    });
}

/// A cut from 20 s on; the monitor is restarted 40 s into it.
fn cut() -> (Driver, Machine) {
    let mut rng = Rng::with_seed(7);
    let outages = vec![Outage::new(20 * SEC, 90 * SEC, OutageKind::Cut)];
    let world = World::new(
        &mut rng,
        Load::ALL[0],
        100 * SEC,
        1_000,
        World::shape(SEC / 100),
        outages,
    );
    let mut driver = Driver::new(world, Conditions::CALM, 7);
    let mut machine = Machine::new(&driver);
    run(&mut driver, &mut machine, 60 * SEC);
    (driver, machine)
}

fn lag_after(driver: &mut Driver, seconds: i64) -> (PairState, [Option<Span>; 3]) {
    let until = driver.now() + seconds * SEC;
    driver.run(until, oracle::check);
    let mut seen = None;
    driver.look(&mut |look: &crate::driver::Look<'_>| {
        seen = Some((
            look.seen.state,
            [
                look.seen.lag.lower,
                look.seen.lag.estimate,
                look.seen.lag.upper,
            ],
        ));
    });
    seen.expect("looked")
}

#[test]
fn a_restart_in_the_middle_of_a_cut_keeps_its_bounds() {
    let (mut never_restarted, _) = cut();
    let (_, expected) = lag_after(&mut never_restarted, 3);
    assert!(expected[0] > Some(Span::from_secs(38)), "{expected:?}");
    let near = |a: Option<Span>, b: Option<Span>, slack| {
        a.zip(b)
            .is_some_and(|(a, b)| a - b <= slack && b - a <= slack)
    };
    for (elsewhere, slack) in [
        (None, Span::from_millis(300)),
        (Some((5 * SEC, SEC / 3)), Span::from_millis(2_300)),
    ] {
        let (mut driver, mut machine) = cut();
        machine.restart(&mut driver, elsewhere);
        let (state, lag) = lag_after(&mut driver, 3);
        assert_eq!(state, PairState::LinkDown);
        assert!(
            lag.iter()
                .zip(expected)
                .all(|(lag, expected)| near(*lag, expected, slack)),
            "{lag:?} {expected:?}"
        );
    }
    let (mut driver, _) = cut();
    driver.restart_monitor();
    let (_, [lower, estimate, upper]) = lag_after(&mut driver, 3);
    assert!(
        lower < Some(Span::from_secs(4)) && (estimate, upper) == (None, None),
        "without the state: {lower:?}"
    );
}

#[test]
fn no_restored_value_is_shown_before_the_first_answer() {
    let (mut driver, mut machine) = cut();
    machine.restart(&mut driver, None);
    driver.look(&mut |look: &crate::driver::Look<'_>| {
        assert_eq!(
            (
                look.seen.lag.lower,
                look.seen.lag.estimate,
                look.seen.lag.upper
            ),
            (None, None, None)
        );
        assert_eq!(
            (look.seen.state, look.seen.sampled_at),
            (PairState::Unknown, None::<Timestamp>)
        );
        assert!(
            look.seen.last_known.is_some(),
            "the last certified statement says itself how old it is"
        );
    });
}
