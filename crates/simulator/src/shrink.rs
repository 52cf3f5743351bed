//! Makes a plan that fails smaller, for as long as it breaks the same rule.

use crate::book::Broken;
use crate::plan::Plan;
use crate::run::{Outcome, run};

/// The smallest plan that was found, and what came of it.
pub fn shrink(plan: &Plan, broken: &Broken) -> (Plan, Outcome) {
    let fails = |plan: &Plan| Some(run(plan)).filter(|o| o.broken.as_ref().is_some_and(|b| b.rule == broken.rule));
    let mut small = plan.clone();
    // Half of the faults at a time, then one.
    let mut step = small.faults.len().div_ceil(2);
    while step > 0 {
        let mut at = 0;
        while at < small.faults.len() {
            let mut less = small.clone();
            less.faults.drain(at..(at + step).min(less.faults.len()));
            match fails(&less) {
                Some(_) => small = less,
                None => at += step,
            }
        }
        step /= 2;
    }
    for length in [8, 4, 2].map(|part| small.length / part) {
        let mut less = small.clone();
        less.length = length.max(less.faults.last().map_or(0, |fault| fault.at));
        if fails(&less).is_some() {
            small = less;
            break;
        }
    }
    while small.users > 1 {
        let less = Plan { users: small.users - 1, ..small.clone() };
        if fails(&less).is_none() {
            break;
        }
        small = less;
    }
    let outcome = run(&small);
    (small, outcome)
}
