//! Seeds that are run with every check.

use store::mends::Mend;

use crate::book::Broken;
use crate::dice::Dice;
use crate::plan::{Fault, Plan, What};
use crate::run::run;

/// Milliseconds of a run here.
const LENGTH: u64 = 120_000;

fn holds(plan: &Plan) {
    let outcome = run(plan);
    if let Some(broken) = outcome.broken {
        let faults: Vec<String> = plan.faults.iter().map(ToString::to_string).collect();
        let last = outcome.history.len().saturating_sub(60);
        panic!(
            "seed {}: {}: {}\n{}\n{}\ntests/sim seed {} --seconds {} --nodes {} makes it smaller",
            plan.seed,
            broken.rule,
            broken.why,
            faults.join("\n"),
            outcome.history[last..].join("\n"),
            plan.seed,
            plan.length / 1_000,
            plan.nodes,
        );
    }
    assert!(outcome.calls > 10, "seed {}: {} calls only", plan.seed, outcome.calls);
}

#[test]
fn seeds_hold() {
    // 202: a ban whose answer nobody knows takes the place of a longer one.
    // 2237: a member's entry is its sign of life, however late the disk lets it be answered.
    // 2256: what rotted shows in the room's number and in a field of it.
    for seed in (1..=20).chain([202, 2237, 2256]) {
        holds(&Plan::of(seed, LENGTH));
    }
}

#[test]
fn seeds_of_several_nodes_hold() {
    for seed in 1..=2 {
        holds(&Plan::shared(seed, LENGTH / 2, 3));
    }
}

#[test]
fn a_seed_is_the_same_run_each_time() {
    let plan = Plan::of(7, LENGTH);
    assert_eq!(run(&plan).history, run(&plan).history);
}

/// Seeds that are looked through for a fault whose mend is taken out.
const SEEDS: u64 = 200;

/// Mends, each with a seed from which on it is soon missed, and the rules that may be broken without it. What the simulator
/// cannot see of the faults that were mended: the protocol of HTTP, how long things take,
/// rights of files, records of later versions. `ToldIsNoted` and `ToldIsKnown` are missed too seldom for a check.
const MENDS: [(Mend, u64, &[&str]); 9] = [
    (Mend::DamageIsSkipped, 1, &["nothing acknowledged is lost"]),
    (Mend::UnknownIsSaid, 1, &["nothing acknowledged is lost", "refused is not done"]),
    (Mend::ClockIsSteady, 1, &["who gives signs of life stays", "who is silent goes", "nobody is too fast who is not"]),
    (Mend::ChatIsKept, 1, &["chat outlives the process"]),
    (Mend::GroupBeginsWithRoom, 1, &["a group begins with its room"]),
    // Those that the simulator found by itself.
    (Mend::MissedIsWritten, 55, &["chat: no gaps, one order", "chat outlives the process"]),
    (Mend::ReadIsDurable, 741, &["nothing acknowledged is lost", "chat: no gaps, one order"]),
    (Mend::EmptyFilesGo, 1249, &["nothing acknowledged is lost"]),
    (Mend::BansEndByTheWall, 108, &["a ban holds", "nothing acknowledged is lost"]),
];

/// Much waits for the backend, and the process is killed about when that is told; again and again.
fn told(seed: u64) -> Plan {
    let mut dice = Dice::apart(seed, 4);
    let mut faults = Vec::new();
    for round in 1..10 {
        let at = round * 50_000;
        let lasts = dice.from(20_000, 30_000);
        let kill = What::Kill { power: dice.yes(500), steps: dice.below(60), down: dice.from(100, 2_000) };
        faults.push(Fault { at, what: What::Backend { lasts } });
        faults.push(Fault { at: at + lasts + dice.below(6_000), what: kill });
    }
    Plan { users: 8, faults, ..Plan::of(seed, 600_000) }
}

#[test]
fn a_backend_that_was_away_is_told_little_again_after_a_kill() {
    (1..=5).for_each(|seed| holds(&told(seed)));
}

#[test]
fn each_fault_is_found_when_its_mend_is_taken_out() {
    for (mend, from, rules) in MENDS {
        let begun = std::time::Instant::now();
        let plans = (from..from + SEEDS).map(|seed| Plan { without: Some(mend), ..Plan::of(seed, 600_000) });
        let found = plans.into_iter().find_map(|plan| Some((plan.seed, run(&plan).broken?)));
        let (seed, broken) = found.unwrap_or_else(|| panic!("{mend:?} is not missed in {SEEDS} seeds"));
        let took = begun.elapsed();
        println!("{took:.1?}");
        is_of(mend, seed, &broken, rules);
    }
}

/// What was found with a mend taken out is one of the rules that hang on it.
fn is_of(mend: Mend, seed: u64, broken: &Broken, rules: &[&str]) {
    println!("{mend:?}: seed {seed}: {}: {}", broken.rule, broken.why);
    assert!(rules.contains(&broken.rule), "{mend:?}: seed {seed}: {}: {}", broken.rule, broken.why);
}

/// What makes a mend of several nodes missed soon: its fault, and what else it takes to be seen.
fn between(mend: Mend, seed: u64, nodes: u64) -> Plan {
    let mut dice = Dice::apart(seed, 6);
    let mut faults = Vec::new();
    let mut add = |at: u64, what: What| faults.push(Fault { at, what });
    let length = match mend {
        // The word of a failover takes a while, too.
        Mend::FailoverIsWaitedFor => {
            for node in 0..nodes as usize {
                add(1_000, What::SlowNode { node, lasts: 40_000, each: dice.from(30, 60) });
            }
            for round in 1..8 {
                let takes = dice.from(1_000, 1_500);
                add(round * 5_000, What::FailOver { begins: dice.below(50), takes, tells: dice.from(500, 1_000) });
            }
            40_000
        }
        Mend::MissedIsLoadedWhole | Mend::MissedLifeIsTaken => {
            let node = dice.below(nodes) as usize;
            let at = dice.from(15_000, 25_000);
            let lasts = dice.from(25_000, 40_000);
            add(at, What::MissNode { node, lasts });
            at + lasts
        }
        Mend::TimeIsShared => {
            let node = dice.below(nodes) as usize;
            add(dice.from(15_000, 25_000), What::StallNode { node, lasts: dice.from(20_000, 60_000) });
            60_000
        }
        // What it says waits for so long that others say something else of the same user.
        Mend::OwnWordIsTaken => {
            for round in 0..6 {
                let node = dice.below(nodes) as usize;
                add(10_000 + round * 50_000, What::CutNode { node, lasts: dice.from(25_000, 35_000) });
            }
            310_000
        }
        // They hear late how rooms ended and began again, and are asked for their chat at once.
        Mend::LivesAreTold | Mend::LateSanctionsAreLifted => {
            for node in 0..nodes as usize {
                add(1_000, What::LateNode { node, lasts: 20_000, by: dice.from(700, 900) });
            }
            20_000
        }
        // Who tells the webhook ends just before its place is lost.
        Mend::PlaceIsKnown => {
            let at = dice.from(15_000, 25_000);
            add(at, What::KillNode { node: dice.below(nodes) as usize, steps: dice.below(60), down: 4_000 });
            add(at + dice.from(1_000, 3_000), What::Forget);
            at + 20_000
        }
        Mend::MissedComesFirst => {
            let node = dice.below(nodes) as usize;
            let at = dice.from(15_000, 25_000);
            add(at, What::MissNode { node, lasts: dice.from(8_000, 15_000) });
            at + 30_000
        }
        _ => {
            let at = dice.from(15_000, 25_000);
            add(at, What::Forget);
            at + 10_000
        }
    };
    let users = if mend == Mend::OwnWordIsTaken { 3 } else { 8 };
    Plan { users, faults, replicas: 0, heals: 30_000, ..Plan::shared(seed, length, nodes) }
}

/// Mends of several nodes, each with a seed that misses it with two of them, and the rules that may be broken without it.
const NODE_MENDS: [(Mend, u64, &[&str]); 11] = [
    (Mend::FailoverIsWaitedFor, 6, &["what is acknowledged is committed", "one leave a join, numbers without gaps"]),
    (Mend::LostIsWrittenAgain, 3, &["nothing acknowledged is lost"]),
    (Mend::LostRoomsEnd, 3, &["one leave a join, numbers without gaps"]),
    (Mend::LivesAreTold, 29, &["a group ends once"]),
    (Mend::TimeIsShared, 2, &["who gives signs of life stays"]),
    // Those that the simulator found by itself.
    (Mend::LateSanctionsAreLifted, 9, &["nodes agree on their groups"]),
    (Mend::OwnWordIsTaken, 14, &["nodes agree on their groups"]),
    (Mend::MissedIsLoadedWhole, 16, &["nodes agree on their groups"]),
    (Mend::MissedLifeIsTaken, 119, &["chat: no gaps, one order"]),
    (Mend::PlaceIsKnown, 10, &["webhooks: everything is told"]),
    (Mend::MissedComesFirst, 18, &["chat: no gaps, one order"]),
];

#[test]
fn each_fault_between_nodes_is_found_when_its_mend_is_taken_out() {
    for (mend, seed, rules) in NODE_MENDS {
        let plan = between(mend, seed, 2);
        holds(&plan);
        let broken = run(&Plan { without: Some(mend), ..plan }).broken;
        let broken = broken.unwrap_or_else(|| panic!("{mend:?} is not missed with seed {seed}"));
        is_of(mend, seed, &broken, rules);
    }
}
