//! Small worlds, in every order that there is.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis_cross_dc_exporter::active_active::Stored;
use redis_cross_dc_exporter::multi_site::LwwStore;

use crate::clients::{dc, drain_all};
use crate::world::{Link, Task, Wire, World, run_alone, step};

const KEY: &[u8] = b"user:0";

fn store(world: &Arc<Mutex<World>>, site: usize) -> LwwStore<Wire> {
    let local = Wire::new(world, site, site);
    let remote = Wire::new(world, site, 1 - site);
    LwwStore::builder(&dc(site)).build(local, remote).unwrap()
}

fn task(future: impl Future<Output = ()> + 'static) -> Task {
    Box::pin(future)
}

fn write(world: &Arc<Mutex<World>>, site: usize, value: u64) -> Task {
    let store = store(world, site);
    task(async move {
        store.set("user:0", &value).await.unwrap();
    })
}

/// Runs tasks in the order of `choices`, each the place of the task that goes on next among those
/// that are still alive. Returns how many there were to choose from at each step.
fn run(tasks: Vec<Task>, world: &Arc<Mutex<World>>, choices: &[usize]) -> Vec<usize> {
    let mut alive = tasks;
    let mut widths = Vec::new();
    while !alive.is_empty() {
        let chosen = choices.get(widths.len()).copied().unwrap_or_default();
        widths.push(alive.len());
        world.lock().unwrap().elapsed += Duration::from_micros(1);
        if step(&mut alive[chosen]) {
            drop(alive.remove(chosen));
        }
    }
    widths
}

/// Calls `check` for every order of the tasks that `begin` makes; returns how many there are.
fn every_order(
    begin: impl Fn() -> (Arc<Mutex<World>>, Vec<Task>),
    check: impl Fn(&Arc<Mutex<World>>, &[usize]),
) -> usize {
    let mut choices: Vec<usize> = Vec::new();
    let mut orders = 0;
    loop {
        let (world, mut tasks) = begin();
        // Up to its first request a task does nothing that others could notice.
        for task in &mut tasks {
            assert!(!step(task));
        }
        let widths = run(tasks, &world, &choices);
        check(&world, &choices);
        orders += 1;
        // The next order: count up, the last choice first.
        choices.resize(widths.len(), 0);
        while choices
            .last()
            .is_some_and(|last| last + 1 >= widths[choices.len() - 1])
        {
            choices.pop();
        }
        match choices.last_mut() {
            None => return orders,
            Some(last) => *last += 1,
        }
    }
}

fn both(world: &Arc<Mutex<World>>) -> [Stored; 2] {
    let world = world.lock().unwrap();
    [0, 1].map(|site| world.sites[site].server.data.register(KEY))
}

fn drain_both(world: &Arc<Mutex<World>>) {
    for site in [0, 1] {
        let wires = (
            Wire::new(world, site, site),
            Wire::new(world, site, 1 - site),
        );
        run_alone(world, drain_all(wires, site));
    }
}

/// A world in which there are as few orders as differ.
fn small_world(link: Link) -> Arc<Mutex<World>> {
    let world = World::new(2);
    world.lock().unwrap().replies_take_a_turn = false;
    world.lock().unwrap().set_link(0, 1, link);
    world
}

fn check_after(world: &Arc<Mutex<World>>, link: Link, choices: &[usize]) {
    world.lock().unwrap().heal();
    drain_both(world);
    let [first, second] = both(world);
    assert_eq!(first, second, "{link:?} {choices:?}");
    assert!(matches!(first, Stored::Envelope(_)));
    let violations = &world.lock().unwrap().violations;
    assert!(
        violations.is_empty(),
        "{link:?} {choices:?}: {violations:?}"
    );
}

const LINKS: [Link; 4] = [
    Link::Up,
    Link::Refused,
    Link::LosesRequests,
    Link::LosesReplies,
];

#[test]
fn three_writes_end_the_same_in_every_order() {
    let begin = || {
        let world = small_world(Link::Up);
        let tasks = vec![
            write(&world, 0, 1),
            write(&world, 1, 2),
            write(&world, 0, 3),
        ];
        (world, tasks)
    };
    let check = |world: &Arc<Mutex<World>>, choices: &[usize]| {
        check_after(world, Link::Up, choices);
    };
    let orders = every_order(begin, check);
    assert!(orders >= 1_680, "{orders} orders");
}

#[test]
fn two_writes_end_the_same_in_every_order_and_partition() {
    for link in LINKS {
        let begin = || {
            let world = small_world(link);
            let tasks = vec![write(&world, 0, 1), write(&world, 1, 2)];
            (world, tasks)
        };
        every_order(begin, |world, choices| check_after(world, link, choices));
    }
}

/// A world in which site 0 has written twice while site 1 was away.
fn world_with_a_queue() -> Arc<Mutex<World>> {
    let world = small_world(Link::Refused);
    for value in 0..2 {
        let mut writer = write(&world, 0, value);
        while !step(&mut writer) {}
    }
    world.lock().unwrap().heal();
    world
}

fn drain(world: &Arc<Mutex<World>>) -> Task {
    let store = store(world, 0);
    task(async move {
        store.drain(2).await;
    })
}

#[test]
fn three_drainers_end_the_same_in_every_order() {
    let begin = || {
        let world = world_with_a_queue();
        let tasks = vec![drain(&world), drain(&world), drain(&world)];
        (world, tasks)
    };
    let check = |world: &Arc<Mutex<World>>, choices: &[usize]| {
        check_after(world, Link::Up, choices);
    };
    let orders = every_order(begin, check);
    assert!(orders >= 27_630, "{orders} orders");
}

#[test]
fn a_drainer_and_a_write_at_the_other_site_end_the_same_in_every_order() {
    let begin = || {
        let world = world_with_a_queue();
        let tasks = vec![drain(&world), write(&world, 1, 9)];
        (world, tasks)
    };
    let check = |world: &Arc<Mutex<World>>, choices: &[usize]| {
        check_after(world, Link::Up, choices);
    };
    assert!(every_order(begin, check) >= 35);
}

/// A writer that dies between any two of its requests has written both the value and its entry in
/// the queue, or neither.
#[test]
fn a_writer_that_dies_anywhere_leaves_no_half_write() {
    for dies_after in 0..12 {
        let world = World::new(2);
        let mut writer = write(&world, 0, 7);
        for _ in 0..dies_after {
            if step(&mut writer) {
                break;
            }
        }
        drop(writer);
        let is_written = both(&world)[0] != Stored::Missing;
        drain_both(&world);
        let [first, second] = both(&world);
        assert_eq!(first, second, "after {dies_after} steps");
        assert_eq!(
            is_written,
            second != Stored::Missing,
            "after {dies_after} steps"
        );
    }
}

/// A drainer that dies between any two of its requests loses nothing and leaves nothing to recover.
#[test]
fn a_drainer_that_dies_anywhere_loses_nothing() {
    for dies_after in 0..20 {
        let world = World::new(2);
        world.lock().unwrap().set_link(0, 1, Link::Refused);
        for value in 0..3 {
            let mut writer = write(&world, 0, value);
            while !step(&mut writer) {}
        }
        world.lock().unwrap().heal();
        let store = store(&world, 0);
        let mut drainer = task(async move {
            store.drain(2).await;
        });
        for _ in 0..dies_after {
            if step(&mut drainer) {
                break;
            }
        }
        drop(drainer);
        drain_both(&world);
        let [first, second] = both(&world);
        assert_eq!(first, second, "after {dies_after} steps");
        assert!(
            matches!(second, Stored::Envelope(_)),
            "after {dies_after} steps"
        );
        assert!(world.lock().unwrap().violations.is_empty());
    }
}
