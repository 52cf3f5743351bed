//! How fast the chat's state machine is by itself: one sender, a room of 10,000, a bounded queue for each receiver.
//! Prints deliveries a second, and what each listener costs in time and resident memory (ids not counted). Knows no sockets.

// A measurement is what a clock is for.
#![allow(clippy::disallowed_methods)]

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use room::chat::{Body, ConnectionId, Directory, Epoch, Form, Group, Message, NewGroup, Said, Transport};
use room::{Millis, RoomId, UserId};

const LISTENERS: u64 = 10_000;
const MESSAGES: u64 = 1_000;
const QUEUE: usize = 64;

/// Resident kilobytes, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

fn report(what: &str, start: Instant, before: Option<u64>) {
    print!("{what}: {:.0} ns", start.elapsed().as_nanos() as f64 / LISTENERS as f64);
    match (before, resident()) {
        (Some(before), Some(after)) => println!(", {} bytes", after.saturating_sub(before) * 1024 / LISTENERS),
        _ => println!(),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let refused = |why| format!("{why:?}");
    let id = RoomId::parse("show").map_err(|r| format!("{r:?}"))?;
    let mut now = Millis(1_700_000_000_000);
    let users: Vec<UserId> = (0..LISTENERS).filter_map(|n| UserId::parse(&format!("user_{n}")).ok()).collect();
    let mut group =
        Group::new(&NewGroup { id: &id, epoch: Epoch::new(now, 0), owner: None, name: "" }).map_err(refused)?;
    let mut directory = Directory::default();

    let start = Instant::now();
    let before = resident();
    for (user, n) in users.iter().zip(0..) {
        directory.connect(now, user, ConnectionId(n), Transport::Socket, None).map_err(refused)?;
    }
    report("connect", start, before);
    let start = Instant::now();
    let before = resident();
    for (user, n) in users.iter().zip(0..) {
        directory.enter(user, ConnectionId(n), group.id()).map_err(refused)?;
        group.join(now, user, ConnectionId(n), None).map_err(refused)?;
    }
    report("join", start, before);

    let mut queues: Vec<VecDeque<Arc<Message>>> = (0..LISTENERS).map(|_| VecDeque::with_capacity(QUEUE)).collect();
    let body = Body::new(&format!(r#"[{{"MsgType":"TIMTextElem","MsgContent":{{"Text":"{}"}}}}]"#, "x".repeat(128)))
        .map_err(refused)?;
    let mut delivered = 0u64;
    let mut bytes = 0u64;
    let start = Instant::now();
    for n in 0..MESSAGES {
        now = now.plus(1);
        let said = Said { from: users[0].clone(), nick: None, random: Some(n), body: body.clone() };
        let Some(message) = group.send(now, said).map_err(refused)?.message else { continue };
        for connection in group.connections() {
            if let Some(queue) = usize::try_from(connection.0).ok().and_then(|at| queues.get_mut(at))
                && queue.len() < QUEUE
            {
                queue.push_back(message.clone());
                delivered += 1;
            }
        }
        // The receivers' side: each takes what waits for it, in the form that all share.
        if n % 32 == 31 {
            for message in queues.iter_mut().flat_map(|queue| queue.drain(..)) {
                bytes += message.form(Form::Socket, |m| format!("{m:?}").into()).len() as u64;
            }
        }
    }
    let took = start.elapsed().as_secs_f64();
    println!("fan-out: {:.0} deliveries/s ({delivered} in {took:.3} s, {bytes} bytes taken)", delivered as f64 / took);

    let start = Instant::now();
    for (user, n) in users.iter().zip(0..) {
        if directory.disconnect(now, user, ConnectionId(n)).is_some() {
            group.quit(now, user, ConnectionId(n));
        }
    }
    report("disconnect", start, None);
    if group.users() == 0 && directory.users() == 0 { Ok(()) } else { Err("somebody stayed".into()) }
}
